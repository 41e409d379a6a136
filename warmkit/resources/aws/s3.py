"""The recipe of an S3 client that outlives freezes.

An HTTP client holds no session with the server, so there is little to prove: what goes stale is its idle
sockets, and dropping those is free. So by default no request is ever spent on freshness.
"""

from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from warmkit import DefinitionError, Resource, concurrency, resource
from warmkit.resources.aws.session import START_TIMEOUT, aws_session
from warmkit.resources.errors import BucketError, needing, refuse_misspelt

if TYPE_CHECKING:
    from aiobotocore.config import AioConfig
    from types_aiobotocore_s3 import S3Client

    from warmkit.resources.aws.idle_sockets import IdleSockets

IDLE = 5.0
"""Seconds that an idle connection to S3 is trusted.

S3 closes them after some 20 s, and after 5 s has been seen; a frozen environment does not hear of it. A new one costs
a TLS handshake, a dead one a failed attempt.
Source: https://github.com/aio-libs/aiobotocore/pull/21
"""

_MIN_CONNECTIONS = 10  # botocore's default: one invocation may well send ten requests side by side
_MOVED_OR_WRONG, _FORBIDDEN, _BROKEN = 300, 403, 500  # HTTP: from here on, exactly, from here on


def s3_client(
    *,
    bucket: str | None = None,
    name: str | None = None,
    region: str | None = None,
    endpoint_url: str | None = None,
    check_after: float | None = None,
    check_timeout: float = 1.0,
    start_timeout: float = START_TIMEOUT,
    close_timeout: float = 0.25,
    max_gap: float | None = None,
    max_age: float | None = None,
    start: Literal["lazy", "eager", "auto"] = "auto",
    config: "AioConfig | None" = None,
    **client_options: Any,
) -> "Resource[S3Client]":
    """Returns the recipe of an aiobotocore S3 client.

    Credentials come from the default chain, which renews them by itself. Idle sockets that S3 has closed are noticed
    for free before the handler runs, and after a gap above `max_gap` all idle ones are dropped; requests that other
    invocations have in flight are left alone. All clients of an environment share one AWS session.

    ```python
    s3 = s3_client(bucket="invoices")

    @warm_handler
    async def handler(event, context, s3: Annotated[S3Client, s3]):
        await s3.put_object(Bucket="invoices", Key=event["id"], Body=event["body"])
    ```

    Args:
        bucket: Asked for at start (HeadBucket), so that a wrong name shows there and not in the handler. An answer of 403
            counts as there: a function that may put objects need not be allowed to list them.
        name: What it is called in events and errors; default: the first parameter that takes it.
        region: Default: what the AWS configuration says; Lambda sets it.
        endpoint_url: Default: what the AWS configuration says, else Amazon's.
        check_after: Seconds of gap above which a request proves that S3 can be reached and answers: HeadBucket, or
            without a bucket ListBuckets, of which any answer below 500 will do; it does not prove that the
            handler's requests are allowed. Default: never, as a client that fails its check is only replaced by one
            that takes the same way.
        check_timeout: Seconds for a check or a refresh.
        start_timeout: Seconds for a start.
        close_timeout: Seconds for a close.
        max_gap: Seconds of gap above which idle sockets are dropped. Default: 5, or 300 with `check_after`, which
            drops them too.
        max_age: Seconds after its start at which the client is rebuilt.
        start: "lazy", "eager" or "auto", as for every resource.
        config: An `AioConfig`, whose options go before ours: 2 s to connect, 10 s to wait for data, three attempts in
            standard mode, and `warmkit.concurrency()` connections, but at least 10.
        **client_options: Passed to `AioSession.create_client`.

    Raises:
        DefinitionError: An argument can never work.

    What goes wrong at a start is the cause of its `StartError`: `BucketError`, `MissingPackageError`, or botocore's.
    """
    refuse_misspelt("s3_client", client_options, s3_client)
    _refuse_wrong({"bucket": bucket, "region": region, "endpoint_url": endpoint_url}, config)
    options = {**client_options, "region_name": region, "endpoint_url": endpoint_url}
    factory = _ClientFactory(bucket, config, options)
    proves = check_after is not None
    # Without a check, the cheapest proof that the freshness decision finds for a suspect client is its refresh: dead
    # sockets are dropped, and no request is sent.
    return resource(
        name=name,
        alive=factory.alive,
        check=factory.prove if proves else None,
        refresh=factory.prove if proves else factory.drop_idle,
        check_after=check_after if check_after is not None else IDLE,
        check_timeout=check_timeout,
        start_timeout=start_timeout,
        close_timeout=close_timeout,
        max_gap=IDLE if max_gap is None and not proves else max_gap,
        max_age=max_age,
        start=start,
        session=aws_session,
    )(factory)


class _ClientFactory:
    """Starts clients, and looks after those that live: one for each environment that uses the recipe.

    A plain class, not a dataclass or a partial: nothing may print its arguments.
    """

    def __init__(
        self, bucket: str | None, config: "AioConfig | None", options: Mapping[str, Any]
    ) -> None:
        self._bucket = bucket
        self._config = config
        self._options = options
        self._sockets: dict[int, IdleSockets] = {}  # by the client's id

    async def __call__(self, session: Any) -> "AsyncIterator[S3Client]":
        with needing("aiobotocore", extra="s3"):
            from warmkit.resources.aws.idle_sockets import capturing
        captured: list[IdleSockets] = []
        config = self._merged_config()
        config.http_session_cls = capturing(captured)
        async with session.create_client("s3", config=config, **self._options) as client:
            (sockets,) = captured
            self._sockets[id(client)] = sockets
            try:
                if self._bucket is not None:
                    await _find_bucket(client, self._bucket)
                yield client
            finally:
                del self._sockets[id(client)]
                sockets.drop()  # else closing waits for S3 to agree to it, connection by connection

    def alive(self, client: "S3Client") -> bool:
        """Whether S3 has closed none of the idle sockets. Never waits."""
        sockets = self._sockets.get(id(client))
        return sockets is None or sockets.are_quiet()

    def drop_idle(self, client: "S3Client") -> None:
        """Drops the idle sockets."""
        self._sockets[id(client)].drop()

    async def prove(self, client: "S3Client") -> None:
        """Drops the idle sockets and asks S3 over a new one."""
        self.drop_idle(client)
        if self._bucket is not None:
            await _find_bucket(client, self._bucket)
        elif (status := await _status(client.list_buckets(MaxBuckets=1))) >= _BROKEN:
            raise ConnectionError(f"S3 answered {status}")

    def _merged_config(self) -> Any:
        from aiobotocore.config import AioConfig

        ours: Any = AioConfig(
            connect_timeout=2,
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": 3},
            max_pool_connections=max(_MIN_CONNECTIONS, concurrency()),
        )
        if self._config is None:
            return ours
        merged = ours.merge(self._config)
        # aiobotocore 3.0 merges botocore's options, but not its own.
        merged.connector_args = getattr(self._config, "connector_args", merged.connector_args)
        return merged


async def _find_bucket(client: "S3Client", bucket: str) -> None:
    status = await _status(client.head_bucket(Bucket=bucket))
    if status >= _MOVED_OR_WRONG and status != _FORBIDDEN:
        raise BucketError(bucket, client.meta.region_name, status)


async def _status(request: Awaitable[Any]) -> int:
    """Returns the HTTP status of S3's answer, whatever it is."""
    from botocore.exceptions import ClientError

    try:
        answer: Any = await request
    except ClientError as error:
        answer = error.response
    return int(answer["ResponseMetadata"]["HTTPStatusCode"])


def _refuse_wrong(texts: Mapping[str, object], config: object) -> None:
    for option, text in texts.items():
        if text is not None and (not isinstance(text, str) or not text):
            came = "an empty one" if text == "" else type(text).__name__
            raise DefinitionError(f"{option} must be a str, or None, not {came}")
    if config is not None and not hasattr(config, "merge"):
        raise DefinitionError(f"config must be an AioConfig, not {type(config).__name__}")
    session = getattr(config, "http_session_cls", None)
    if getattr(session, "__name__", "AIOHTTPSession") != "AIOHTTPSession":
        raise DefinitionError(
            "config has an http_session_cls of its own, but warmkit needs one that can drop idle sockets.\n"
            "  Write the AioConfig without it."
        )
