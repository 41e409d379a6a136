"""Opens one connection to PostgreSQL, and says what went wrong without giving a secret away."""

import inspect
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from warmkit.resources.errors import DsnError, PostgresConnectError
from warmkit.resources.postgres.dsn import FORM, Target, read_target, secrets

if TYPE_CHECKING:
    from warmkit.resources.postgres.connection import PooledConnection

Dsn: TypeAlias = "str | Callable[[], str | Awaitable[str]] | None"
VARIABLE = "DATABASE_URL"

_ADVICE = {
    "InvalidAuthorizationSpecificationError": "Check the user and the password.",
    "InvalidCatalogNameError": "Create the database, or name another one.",
    "TooManyConnectionsError": (
        "Each environment holds max_size connections: limit the function's reserved concurrency, "
        "or raise the server's max_connections."
    ),
    "OSError": (
        "Check host and port, and that the function's subnets and security groups lead there."
    ),
}


class Connector:
    """How one pool comes by its connections.

    Args:
        dsn: Where to; a function is called for each connection.
        options: Passed to `asyncpg.connect`.
        limit: Seconds for one connection.
    """

    def __init__(self, dsn: Dsn, options: Mapping[str, Any], limit: float) -> None:
        self._dsn = dsn
        self._options = options
        self._limit = limit

    async def open(self, resource: str, **pool_options: Any) -> "PooledConnection":
        """Opens a connection.

        Args:
            resource: The resource's name, for the error.
            **pool_options: What the pool passes to `asyncpg.connect`.

        Raises:
            PostgresConnectError: It could not be opened.
            DsnError: There is no DSN, or it cannot be read.
        """
        outcome = await self._try(resource, pool_options)
        if isinstance(outcome, PostgresConnectError):
            raise outcome  # here, where no error of asyncpg's becomes its context
        return outcome

    async def _try(
        self, resource: str, pool_options: Mapping[str, Any]
    ) -> "PooledConnection | PostgresConnectError":
        import asyncpg

        dsn = await self._read_dsn()
        target = read_target(dsn, self._options)
        options: dict[str, Any] = {**self._options, **pool_options, "timeout": self._limit}
        try:
            return cast("PooledConnection", await asyncpg.connect(dsn, **options))
        except Exception as error:  # noqa: BLE001  what of it may be said is told
            return self._explain(resource, target, error, secrets(dsn, self._options))

    async def _read_dsn(self) -> str | None:
        if callable(self._dsn):
            return await _called(self._dsn)
        if self._dsn is not None or {"host", "service"} & self._options.keys():
            return self._dsn
        dsn = os.environ.get(VARIABLE)
        if not dsn:
            raise DsnError(
                f"there is no DSN.\n  Set the environment variable {VARIABLE}={FORM}, "
                "or write postgres_pool(dsn=...)."
            )
        return dsn

    def _explain(
        self, resource: str, target: Target, error: Exception, hidden: frozenset[str]
    ) -> PostgresConnectError:
        kind = type(error).__name__
        reason = f"{kind}: {error}"
        if isinstance(error, TimeoutError) and not str(error):
            reason = f"no answer within {self._limit:g} s"
        elif type(error) is ValueError or any(secret in reason for secret in hidden):
            reason = kind  # the standard library's ValueErrors quote what they could not read
        advice = next(
            (_ADVICE[base.__name__] for base in type(error).__mro__ if base.__name__ in _ADVICE), ""
        )
        return PostgresConnectError(
            resource, server=target.server, user=target.user, reason=reason, advice=advice
        )


async def _called(function: Callable[[], object]) -> str:
    dsn = function()
    if inspect.isawaitable(dsn):
        dsn = await dsn
    if not isinstance(dsn, str):
        raise DsnError(
            f"the function given as dsn returned {type(dsn).__name__}, not a str.\n  Return {FORM}."
        )
    return dsn
