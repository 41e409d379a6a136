"""Opens one connection to PostgreSQL, and says what went wrong without giving a secret away."""

import inspect
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from warmkit.resources.errors import DsnError, PostgresConnectError
from warmkit.resources.postgres.crowd import Patience, is_full
from warmkit.resources.postgres.dsn import FORM, Target, read_target, secrets
from warmkit.resources.postgres.settings import startup_settings

if TYPE_CHECKING:
    from warmkit.resources.postgres.connection import PooledConnection

Dsn: TypeAlias = "str | Callable[[], str | Awaitable[str]] | None"
VARIABLE = "DATABASE_URL"

_ADVICE = {
    "InvalidAuthorizationSpecificationError": "Check the user and the password.",
    "InvalidCatalogNameError": "Create the database, or name another one.",
    "OSError": (
        "Check host and port, and that the function's subnets and security groups lead there."
    ),
}
_FULL = (
    "Each environment holds max_size connections: limit the function's reserved concurrency, "
    "or raise the server's max_connections, or the pooler's."
)


class Connector:
    """How one pool comes by its connections. Where a server is full it tries again, within the limit.

    Args:
        dsn: Where to; a function is called for each connection.
        options: Passed to `asyncpg.connect`.
        limit: Seconds for one connection, with all tries.
        name: The application_name of the connections, if the user gave none.
        pooler: Whether they lead to a pooler.
        session: The AWS session that signs their passwords; None: they have passwords of their own.
    """

    def __init__(
        self,
        dsn: Dsn,
        options: Mapping[str, Any],
        limit: float,
        *,
        name: str,
        pooler: bool = False,
        session: Any = None,
    ) -> None:
        self._dsn = dsn
        self._options = options
        self._limit = limit
        self._name = name
        self._pooler = pooler
        self._session = session

    async def open(self, resource: str, **pool_options: Any) -> "PooledConnection":
        """Opens a connection.

        Args:
            resource: The resource's name, for the error.
            **pool_options: What the pool passes to `asyncpg.connect`.

        Raises:
            PostgresConnectError: It could not be opened.
            DsnError: There is no DSN, or it cannot be read.
            IamTokenError: No token could be made.
        """
        patience = Patience(self._limit)
        while True:
            outcome = await self._try(resource, pool_options, patience)
            if not isinstance(outcome, _Failure):
                return outcome
            if not (outcome.full and await patience.wait()):
                raise outcome.error  # here, where no error of asyncpg's becomes its context

    async def _try(
        self, resource: str, pool_options: Mapping[str, Any], patience: Patience
    ) -> "PooledConnection | _Failure":
        import asyncpg

        dsn = await self._read_dsn()
        target = read_target(dsn, self._options)
        options: dict[str, Any] = {**self._options, **pool_options, "timeout": patience.left}
        options["server_settings"] = startup_settings(
            dsn, self._options, name=self._name, pooler=self._pooler
        )
        hidden = secrets(dsn, self._options)
        if self._session is not None:
            from warmkit.resources.postgres.iam import log_in

            login = await log_in(self._session, dsn, self._options, target)
            options.update(login)
            hidden |= {login.token}
        try:
            return cast("PooledConnection", await asyncpg.connect(dsn, **options))
        except Exception as error:  # noqa: BLE001  what of it may be said is told
            patience.tries += 1
            if full := is_full(error):
                patience.refusal = error
            return _Failure(self._explain(resource, target, error, hidden, patience), full)

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
        self,
        resource: str,
        target: Target,
        error: Exception,
        hidden: frozenset[str],
        patience: Patience,
    ) -> PostgresConnectError:
        if isinstance(error, TimeoutError) and patience.refusal is not None:
            error = patience.refusal  # the last try had no time left for the same answer
        kind = type(error).__name__
        reason = f"{kind}: {error}"
        if isinstance(error, TimeoutError) and not str(error):
            reason = f"no answer within {self._limit:g} s"
        elif type(error) is ValueError or any(secret in reason for secret in hidden):
            reason = kind  # the standard library's ValueErrors quote what they could not read
        return PostgresConnectError(
            resource,
            server=target.server,
            user=target.user,
            reason=reason,
            advice=_advice(error),
            tries=patience.tries,
            seconds=patience.spent,
        )


class _Failure(NamedTuple):
    """Why one try failed, and whether another one may not."""

    error: PostgresConnectError
    full: bool


def _advice(error: Exception) -> str:
    if is_full(error):
        return _FULL
    kinds = [base.__name__ for base in type(error).__mro__]
    return next((_ADVICE[kind] for kind in kinds if kind in _ADVICE), "")


async def _called(function: Callable[[], object]) -> str:
    dsn = function()
    if inspect.isawaitable(dsn):
        dsn = await dsn
    if not isinstance(dsn, str):
        raise DsnError(
            f"the function given as dsn returned {type(dsn).__name__}, not a str.\n  Return {FORM}."
        )
    return dsn
