"""The recipe of an S3 client that outlives freezes.

An HTTP client holds no session with the server, so there is little to prove: what goes stale is its idle
sockets, and dropping those is free. So by default no request is ever spent on freshness.
"""

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from warmkit import Resource
from warmkit.resources.aws.client import ClientFactory, client_resource, refuse_wrong
from warmkit.resources.aws.session import START_TIMEOUT
from warmkit.resources.errors import BucketError

if TYPE_CHECKING:
    from aiobotocore.config import AioConfig
    from types_aiobotocore_s3 import S3Client

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
    refuse_wrong(
        s3_client,
        {"bucket": bucket, "region": region, "endpoint_url": endpoint_url},
        config,
        client_options,
    )
    options = {**client_options, "region_name": region, "endpoint_url": endpoint_url}
    factory = _S3Factory(bucket, config, options)
    return client_resource(
        factory,
        proof=None if check_after is None else factory.prove,
        check_after=check_after,
        check_timeout=check_timeout,
        max_gap=max_gap,
        max_age=max_age,
        name=name,
        start=start,
        start_timeout=start_timeout,
        close_timeout=close_timeout,
    )


class _S3Factory(ClientFactory):
    """Starts S3 clients, and can ask S3 for proof."""

    def __init__(
        self, bucket: str | None, config: "AioConfig | None", options: Mapping[str, Any]
    ) -> None:
        super().__init__("s3", config, options)
        self._bucket = bucket

    async def greet(self, client: "S3Client") -> None:
        """Asks for the bucket, if there is one to ask for."""
        if self._bucket is not None:
            await _find_bucket(client, self._bucket)

    async def prove(self, client: "S3Client") -> None:
        """Drops the idle sockets and asks S3 over a new one."""
        self.drop_idle(client)
        if self._bucket is not None:
            await _find_bucket(client, self._bucket)
        elif (status := await _status(client.list_buckets(MaxBuckets=1))) >= _BROKEN:
            raise ConnectionError(f"S3 answered {status}")


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
