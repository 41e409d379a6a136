"""The recipe of an asyncpg pool that outlives freezes, restarts and outages.

Two rules make it up. No timer decides anything: after a freeze timers fire late and all at once, so asyncpg's
own are off, and ages are compared on use. And no statement is sent that the handler did not write, unless
something speaks against the connection.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from warmkit import Resource, concurrency, identity, resource
from warmkit.resources.errors import needing, refuse_misspelt
from warmkit.resources.postgres.connect import Connector, Dsn
from warmkit.resources.postgres.members import Members
from warmkit.resources.postgres.refusals import (
    refuse_no_breaker,
    refuse_what_does_not_go_together,
    refuse_wrong,
)
from warmkit.resources.postgres.session import ResetMode
from warmkit.resources.postgres.settings import application_name

if TYPE_CHECKING:
    import asyncpg

    from warmkit.resources.breaker.breaker import CircuitBreaker

    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]

_POOL_OPTIONS = ("init", "record_class", "setup")
_SHARE = 0.9
"""Of `start_timeout` for connecting: the rest is for saying which server did not answer."""


def postgres_pool(
    dsn: Dsn = None,
    *,
    name: str | None = None,
    max_size: int | None = None,
    reset: ResetMode = "auto",
    pooler: bool = False,
    iam: bool = False,
    check_after: float = 1.0,
    check_timeout: float = 1.0,
    start_timeout: float = 5.0,
    close_timeout: float = 0.25,
    max_gap: float | None = None,
    max_age: float | None = None,
    start: Literal["lazy", "eager", "auto"] = "auto",
    breaker: "Resource[CircuitBreaker] | None" = None,
    **connect_options: Any,
) -> "Resource[Pool]":
    """Returns the recipe of an asyncpg connection pool.

    Its start opens one connection, so that what is wrong shows there. A connection that the server has closed is
    noticed for free before the handler runs, however short the gap, and replaced. After a gap above `check_after`
    one `SELECT 1` goes first. During an outage each invocation fails with an error that names the server; after it
    the pool heals by itself. The pool works as any of asyncpg's does, for concurrent tasks too.

    Between invocations asyncpg resets a session with a statement of its own, in a round trip of its own. With
    `reset="auto"` it does so only after statements that can have changed the session: anything but SELECT, INSERT,
    UPDATE, DELETE, MERGE and the commands of transactions; and those too if they name set_config, an advisory lock
    of the session or dblink. A function of your own in the database that changes the session
    (`set_config(..., false)` in PL/pgSQL) cannot be seen: use `reset="always"` then. An open transaction is rolled
    back in every mode.

    A server that has no room for another connection is asked again, at random moments, for as long as a start may
    take. Connections are named "function/environment" in `pg_stat_activity` (application_name); a name of your own, in
    `server_settings`, the DSN or PGAPPNAME, goes first.

    ```python
    db = postgres_pool()  # DATABASE_URL

    @warm_handler
    async def handler(event, context, db: Annotated[asyncpg.Pool, db]):
        return await db.fetchval("SELECT count(*) FROM orders WHERE customer = $1", event["customer"])
    ```

    Args:
        dsn: `postgresql://user:password@host:port/database`, or a function, async or not, that returns it; the function
            is called for every connection that is opened, so a rotated secret or a short-lived token is never
            stale. Default: the environment variable DATABASE_URL, read at start.
        name: What it is called in events and errors; default: the first parameter that takes it.
        max_size: The most connections at a time. Default: `warmkit.concurrency()`, one for each invocation that can
            run at once.
        reset: When a connection's session is reset on its release to the pool; behind a pooler never.
        pooler: Whether the DSN leads to a pooler that hands out the server's connections for a transaction at a time:
            pgbouncer, RDS Proxy, Supavisor. Then no statement is named or kept, and no session is changed or reset;
            a statement that has arguments or fetches rows takes two round trips. What your own statements leave in a
            session (SET, LISTEN, advisory locks, temporary tables) others find there.
        iam: Whether to log in to RDS or Aurora with IAM: for each new connection a token is signed, locally, by the
            credentials of the environment. It takes the extra `aws`, and TLS, which is required if nothing is said of it.
        check_after: Seconds of gap up to which no statement is spent on a check.
        check_timeout: Seconds for a check or a refresh.
        start_timeout: Seconds for a start, and for every connection that the pool opens later; and for waiting for one
            while transactions of invocations hold them all.
        close_timeout: Seconds for saying farewell to the server; then the connections are cut.
        max_gap: Seconds of gap above which idle connections are replaced, and seconds that a connection may have been
            idle. Default: 300, as NAT gateways and load balancers drop idle flows at 350 s.
        max_age: Seconds after its start at which the pool is rebuilt.
        start: "lazy", "eager" or "auto", as for every resource.
        breaker: What `circuit_breaker()` returned. Each connection is opened through it, at the start and later: while it
            is open, an invocation fails at once instead of waiting for a server that does not answer.
        **connect_options: Passed to `asyncpg.connect`; `init`, `setup` and `record_class` to `asyncpg.create_pool`.
            Give a `command_timeout`: without one, a handler that is cancelled in the middle of a statement waits for as
            long as a silent server does not confirm the cancellation.

    Raises:
        DefinitionError: An argument can never work.

    What goes wrong at a start is the cause of its `StartError`: `DsnError`, `PostgresConnectError`, `IamTokenError` or
    `MissingPackageError`. A handler sees a `PostgresConnectError` where the pool opens another connection for it. None
    of them shows a password or quotes the DSN.
    """
    refuse_wrong(dsn, max_size, reset, connect_options)
    refuse_misspelt("postgres_pool", connect_options, postgres_pool)
    refuse_what_does_not_go_together(dsn, reset, connect_options, pooler=pooler, iam=iam)
    refuse_no_breaker(breaker)
    factory = _PoolFactory(
        dsn, max_size, "never" if pooler else reset, connect_options, pooler=pooler
    )
    factory.recipe = resource(
        name=name,
        alive=factory.alive,
        check=factory.check,
        refresh=factory.refresh,
        check_after=check_after,
        check_timeout=check_timeout,
        start_timeout=start_timeout,
        close_timeout=close_timeout,
        max_gap=max_gap,
        max_age=max_age,
        start=start,
        **_needs(iam=iam, breaker=breaker),
    )(factory)
    return factory.recipe


def _needs(*, iam: bool, breaker: "Resource[Any] | None") -> dict[str, Any]:
    needs: dict[str, Any] = {} if breaker is None else {"breaker": breaker}
    if iam:
        from warmkit.resources.aws.session import aws_session

        needs["session"] = aws_session
    return needs


class _PoolFactory:
    """Starts pools, and looks after those that live: one for each environment that uses the recipe.

    A plain class, not a dataclass or a partial: nothing may print its arguments.
    """

    recipe: "Resource[Pool]"

    def __init__(
        self,
        dsn: Dsn,
        max_size: int | None,
        reset: ResetMode,
        options: Mapping[str, Any],
        *,
        pooler: bool = False,
    ) -> None:
        self._dsn = dsn
        self._max_size = max_size
        self._reset: ResetMode = reset
        self._pooler = pooler
        self._pool_options = {key: options[key] for key in _POOL_OPTIONS if key in options}
        self._options = {
            "max_cached_statement_lifetime": 0,  # a timer; statements are cached by number alone
            **({"statement_cache_size": 0} if pooler else {}),
            **{key: value for key, value in options.items() if key not in _POOL_OPTIONS},
        }
        # By the pool's id: asyncpg's pools take no weak references.
        self._members: dict[int, Members] = {}

    async def __call__(self, **needs: Any) -> "AsyncIterator[Pool]":
        max_gap = self.recipe.limits.max_gap
        members = Members(float("inf") if max_gap is None else max_gap)
        pool = await self._create(members, **needs)
        self._members[id(pool)] = members
        try:
            async with pool.acquire():
                pass  # nothing was open: this opens one connection
            yield pool
            await pool.close()  # cuts what is open when it fails, or is cancelled at close_timeout
        finally:
            del self._members[id(pool)]
            pool.terminate()  # after a failed start; does nothing after a close

    def alive(self, pool: "Pool") -> bool:
        """Whether nothing speaks against the idle connections. Never waits."""
        members = self._members.get(id(pool))
        return members is None or members.are_sound()

    async def check(self, pool: "Pool") -> None:
        """Drops what is dead, and proves a connection with a statement.

        Whatever fails here fails for the pool, which is then rebuilt as a whole: a server that restarted has
        ended all its connections, not only the one that was asked.
        """
        members = self._members[id(pool)]
        members.drop_doubtful()
        if not members.need_proof():
            return  # waiting for other invocations' connections would prove nothing
        async with pool.acquire() as connection:
            try:
                await connection.execute("SELECT 1")
            except BaseException:
                # Else its release would ask the server, which does not answer, to cancel the statement.
                connection.terminate()
                raise

    async def refresh(self, pool: "Pool") -> None:
        """Replaces the idle connections. The pool stays, and so does what was built on it."""
        members = self._members[id(pool)]
        members.drop_idle()
        if members.need_proof():
            async with pool.acquire():
                pass  # opens one: the server's welcome is the proof

    async def _create(
        self, members: Members, session: Any = None, breaker: "CircuitBreaker | None" = None
    ) -> "Pool":
        with needing("asyncpg", extra="postgres"):
            import asyncpg

            from warmkit.resources.postgres.lending import LendingPool

        pool = LendingPool(
            resource=self.recipe.name,
            patience=self._limit,
            loop=None,
            record_class=self._pool_options.get("record_class", asyncpg.Record),
            init=self._pool_options.get("init"),
            min_size=0,  # with more, asyncpg 0.32 keeps a task that reconnects whenever it sees fit
            max_size=self._max_size or concurrency(),
            max_queries=sys.maxsize,  # else a connection is replaced within an invocation
            max_inactive_connection_lifetime=0,  # a timer
            connection_class=self._connection_class(),
            connect=self._connect(members, session, breaker),
            setup=_marking_taken(self._pool_options.get("setup")),
        )
        return await pool

    def _connection_class(self) -> Any:
        if self._pooler:
            from warmkit.resources.postgres.pooler import PoolerConnection

            return PoolerConnection
        from warmkit.resources.postgres.connection import PooledConnection

        return PooledConnection

    @property
    def _limit(self) -> float:
        return self.recipe.options.start_timeout * _SHARE

    def _connect(
        self, members: Members, session: Any, breaker: "CircuitBreaker | None"
    ) -> "Callable[..., Awaitable[Any]]":
        guard: Callable[[], AbstractContextManager[object]] = (
            nullcontext if breaker is None else partial(breaker.calling, limit=self._limit)
        )
        function, environment_id = identity()
        connector = Connector(
            self._dsn,
            self._options,
            self._limit,
            # A pooler hands one session to many environments, and would rename it each time.
            name=application_name(function, "" if self._pooler else environment_id),
            pooler=self._pooler,
            session=session,
        )

        async def connect(*_: object, **pool_options: Any) -> object:
            members.opening += 1
            try:
                with guard():
                    connection = await connector.open(self.recipe.name, **pool_options)
            finally:
                members.opening -= 1
            connection.reset_mode = self._reset
            members.add(connection)
            return connection

        return connect


def _marking_taken(setup: "Callable[[Any], Awaitable[None]] | None") -> "Callable[[Any], Any]":
    async def mark(connection: Any) -> None:
        connection.taken()
        if setup is not None:
            await setup(connection)

    return mark
