"""Starts AWS clients on the shared session and looks after their idle sockets, whatever the service.

It sends no request of its own, and neither reads nor keeps credentials.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from warmkit import DefinitionError, Resource, concurrency, resource
from warmkit.resources.aws.collector import uncollected
from warmkit.resources.aws.session import aws_session, expect
from warmkit.resources.errors import ServiceError, refuse_misspelt

if TYPE_CHECKING:
    from aiobotocore.config import AioConfig

    from warmkit.resources.aws.trusting import Trusting

IDLE = 5.0
"""Seconds that an idle connection to AWS is trusted.

S3 closes them after some 20 s, and after 5 s has been seen; a frozen environment does not hear of it. A new one costs
a TLS handshake, a dead one a failed attempt.
Source: https://github.com/aio-libs/aiobotocore/pull/21
"""

CONNECT_TIMEOUT = 2
ATTEMPTS = 3
PROMPT = 10
"""Seconds to wait for data of a service that answers at once: one that does not is better asked again."""

_PATIENT = 60  # botocore's default
_LIFETIME = 910  # as long as a function may run, and then some
_READ_TIMEOUTS = {
    **dict.fromkeys(
        (
            *(
                "s3",
                "dynamodb",
                "dynamodbstreams",
                "kinesis",
                "firehose",
                "sns",
                "events",
                "sts",
                "kms",
            ),
            *(
                "secretsmanager",
                "ssm",
                "appconfigdata",
                "cloudwatch",
                "logs",
                "xray",
                "ses",
                "sesv2",
            ),
        ),
        PROMPT,
    ),
    "sqs": 30,  # ReceiveMessage waits up to 20 s for a message
    "swf": 70,  # PollForActivityTask waits up to 60 s for a task
    "stepfunctions": 310,  # StartSyncExecution answers within 5 minutes, GetActivityTask waits up to 60 s
    "lambda": _LIFETIME,  # Invoke answers when the function has; asking again would run it again
    "bedrock-runtime": _LIFETIME,  # a model says nothing while it thinks
}

_MIN_CONNECTIONS = 10  # botocore's default: one invocation may well send ten requests side by side
_OURS = {
    "region_name": "region=",
    "service_name": "the service as the first argument",
    "check_after": "it for s3_client, or a check for a resource of your own that takes the client",
}


def read_timeout(service: str) -> int:
    """Returns the seconds to wait for data: so short that a function can try again, but never shorter than an answer takes."""
    return _READ_TIMEOUTS.get(service, _PATIENT)


class ClientFactory:
    """Starts clients of one service, and looks after those that live: one for all environments that use the recipe.

    A plain class, not a dataclass or a partial: nothing may print its arguments, among which there may be secrets.
    """

    def __init__(
        self, service: str, config: "AioConfig | None", options: Mapping[str, Any]
    ) -> None:
        self._service = service
        expect(service)
        self._config = config
        self._options = options
        self._sockets: dict[int, Trusting] = {}  # by the client's id

    async def __call__(self, session: Any) -> AsyncIterator[Any]:
        """Starts a client, and closes it behind its yield."""
        async with AsyncExitStack() as stack:
            with uncollected():
                client = await self._open(session, stack)
            try:
                await self.greet(client)
                yield client
            finally:
                sockets = self._sockets.pop(id(client), None)
                if sockets is not None:
                    sockets.drop()  # else closing waits for AWS to agree to it, connection by connection

    async def greet(self, client: Any) -> None:
        """Proves at its start that the client works. By default nothing is asked."""

    def alive(self, client: Any) -> bool:
        """Whether AWS has closed none of the idle sockets. Never waits."""
        sockets = self._sockets.get(id(client))
        return sockets is None or sockets.are_quiet()

    def drop_idle(self, client: Any) -> None:
        """Drops the idle sockets.

        Raises:
            KeyError: They are not known; the client is rebuilt then.
        """
        self._sockets[id(client)].drop()

    async def _open(self, session: Any, stack: AsyncExitStack) -> Any:
        from botocore.exceptions import UnknownServiceError

        from warmkit.resources.aws.trusting import capturing

        captured: list[Trusting] = []
        config = self._merged_config(capturing(captured))
        creation = session.create_client(self._service, config=config, **self._options)
        try:
            client = await stack.enter_async_context(creation)
        except UnknownServiceError:  # whose text lists all 400
            known = session.get_component("data_loader").list_available_services("service-2")
            raise ServiceError(self._service, known) from None
        if (
            captured
        ):  # else botocore has lost it on the way, as aiobotocore 3.0 does: `drop_idle` will raise
            self._sockets[id(client)] = captured[0]
        return client

    def _merged_config(self, session_class: "type[Trusting]") -> Any:
        from aiobotocore.config import AioConfig

        config: Any = AioConfig(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=read_timeout(self._service),
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=max(_MIN_CONNECTIONS, concurrency()),
        )
        if self._config is not None:
            config = config.merge(self._config)
        # As an option, so that it stays where botocore merges configurations: a FIPS region makes it do so.
        config = config.merge(AioConfig(http_session_cls=session_class))
        # aiobotocore 3.0 merges botocore's options, but not its own.
        config.http_session_cls = session_class
        config.connector_args = getattr(self._config, "connector_args", config.connector_args)
        return config


def client_resource(
    factory: ClientFactory,
    *,
    proof: Callable[[Any], Awaitable[None]] | None = None,
    check_after: float | None = None,
    check_timeout: float = 1.0,
    max_gap: float | None = None,
    **options: Any,
) -> Resource[Any]:
    """Returns the recipe of a client.

    Args:
        factory: Starts it.
        proof: Drops the idle sockets and sends a request, for who wants that; else nothing is sent.
        check_after: Seconds of gap above which the proof is asked for.
        check_timeout: Seconds for a check or a refresh.
        max_gap: Seconds of gap above which idle sockets are dropped.
        **options: Of every resource, as they are.

    Raises:
        DefinitionError: An option can never work.
    """
    # Without a check, the cheapest proof that the freshness decision finds for a suspect client is its refresh: dead
    # sockets are dropped, and no request is sent.
    recipe: Resource[Any] = resource(
        alive=factory.alive,
        check=proof,
        refresh=proof or factory.drop_idle,
        check_after=IDLE if check_after is None else check_after,
        check_timeout=check_timeout,
        max_gap=IDLE if max_gap is None and proof is None else max_gap,
        session=aws_session,
        **options,
    )(factory)
    return recipe


def refuse_wrong(
    function: Callable[..., object],
    texts: Mapping[str, object],
    config: object,
    client_options: Mapping[str, object],
) -> None:
    """Refuses what can never make a client. No value is quoted: it may be a secret in the wrong place.

    Raises:
        DefinitionError: Something cannot.
    """
    called: str = function.__name__
    for option in client_options.keys() & _OURS.keys():
        raise DefinitionError(f"{called} takes no {option}.\n  Write {_OURS[option]}.")
    refuse_misspelt(called, client_options, function)
    for option, text in texts.items():
        if text is not None and (not isinstance(text, str) or not text):
            came = "an empty one" if text == "" else type(text).__name__
            raise DefinitionError(f"{option} must be a str, or None, not {came}")
    _refuse_config(config)


def _refuse_config(config: object) -> None:
    if config is not None and not hasattr(config, "merge"):
        raise DefinitionError(f"config must be an AioConfig, not {type(config).__name__}")
    session = getattr(config, "http_session_cls", None)
    if getattr(session, "__name__", "AIOHTTPSession") != "AIOHTTPSession":
        raise DefinitionError(
            "config has an http_session_cls of its own, but warmkit needs one that can drop idle sockets.\n"
            "  Write the AioConfig without it."
        )
