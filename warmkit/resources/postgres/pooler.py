"""The connection class for pools behind a pooler (pgbouncer in transaction mode, RDS Proxy, Supavisor).

There each transaction may run on another connection of the server's. So nothing is left in a session: no named
statement, no setting; and none is held longer than a transaction. Beside what `connection` says, four undocumented
names of asyncpg's are used: `_server_caps`, `_get_statement`, and `queries_count` of `_protocol`. Tests hold them.
"""

from typing import Any

from warmkit import UsageError
from warmkit.resources.postgres.connection import PooledConnection

_NO_QUERY_YET = -1


class PoolerConnection(PooledConnection):
    """A connection to a pooler."""

    def __init__(self, protocol: Any, transport: Any, loop: Any, *rest: Any) -> None:
        super().__init__(protocol, transport, loop, *rest)
        self._warmkit_parsed_after = _NO_QUERY_YET
        undocumented: Any = self  # the stubs know nothing of these names
        # Else asyncpg turns `jit` off and on around each look at the types: in whatever sessions it meets.
        undocumented._server_caps = undocumented._server_caps._replace(jit=False)

    def is_clean(self) -> bool:
        """Whether it can go back into the pool as it is, and nothing has to be waited for."""
        return super().is_clean() and not self._warmkit_never_ran()

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  asyncpg's
        """Ends what asyncpg has begun and not ended, and an open transaction."""
        if self._warmkit_never_ran() and not self.is_in_transaction():
            # A statement was parsed and never ran: its arguments were wrong, or it was cancelled. The pooler
            # waits for the end of it, and keeps the server's connection from all others until then.
            await self.execute("SELECT 1", timeout=timeout)
        self._warmkit_parsed_after = _NO_QUERY_YET
        await super().reset(timeout=timeout)

    def _get_statement(
        self, query: str, timeout: float | None, *, named: str | bool | None = False, **options: Any
    ) -> Any:
        """Parses a statement without a name. Cursors want a named one, and do with the other as well."""
        self._warmkit_parsed_after = self._warmkit_queries()
        undocumented: Any = super()
        return undocumented._get_statement(query, timeout, named=False, **options)

    def _warmkit_never_ran(self) -> bool:
        return self._warmkit_parsed_after == self._warmkit_queries()

    def _warmkit_queries(self) -> int:
        undocumented: Any = self
        count: int = undocumented._protocol.queries_count
        return count

    def prepare(self, query: str, *args: Any, **options: Any) -> Any:
        """Prepares a statement without a name."""
        if options.get("name"):
            raise UsageError(
                "a prepared statement that has a name stays in one of the server's sessions, and the next "
                "transaction may get another one behind a pooler.\n"
                "  Write it without name=..., or use a postgres_pool() that leads to the server itself."
            )
        return super().prepare(query, *args, **options)

    async def add_listener(self, channel: str, callback: Any) -> None:
        """Refuses: nobody would be called."""
        raise UsageError(
            "no notification arrives through a pooler: LISTEN stays behind in one of the server's sessions.\n"
            "  Listen with a connection that leads to the server itself."
        )
