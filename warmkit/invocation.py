"""What a handler can be handed beside values: the facts of its invocation, and lazy access.

It knows nothing of how resources are made; the environment fills it in.
"""

from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

T_co = TypeVar("T_co", covariant=True)


@runtime_checkable
class Context(Protocol):
    """What warmkit reads of the `context` that the host passes; it goes through to the handler untouched.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Returns the milliseconds until the platform ends the invocation."""
        ...


class Invocation(NamedTuple):
    """The facts of one invocation: annotate a parameter with it to be handed them.

    Attributes:
        environment_id: The environment that serves it; eight hexadecimal digits.
        number: Its number in this environment, from 1.
        cold: It is the first one of its environment.
        gap: Seconds since the invocation before it ended; 0 for the first.
        request_id: The host's id for it; None where the host gave none.
        deadline: When the host will end it, in seconds since the Unix epoch; None: never.
    """

    environment_id: str
    number: int
    cold: bool
    gap: float
    request_id: str | None
    deadline: float | None


class Lazy(Generic[T_co]):
    """A resource that is started only if the code asks for it.

    Awaiting it gives the live value, as fresh as an injected one; each await asks anew. It is good for
    the invocation it was handed to.

    ```python
    async def handler(event, context, db: Annotated[Lazy[asyncpg.Pool], db]):
        if "id" not in event:
            return {"statusCode": 400}  # no connection was needed
        return await (await db).fetchval("SELECT name FROM customer WHERE id = $1", event["id"])
    ```
    """

    __slots__ = ("_get",)

    def __init__(self, get: Callable[[], Awaitable[T_co]]) -> None:
        self._get = get

    def __await__(self) -> Generator[Any, None, T_co]:
        """Returns the live value.

        Raises:
            StartError: It did not start.
        """
        return self._get().__await__()
