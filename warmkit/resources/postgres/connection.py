"""The connection class of the pools: knows whether it is idle, still quiet, and in need of a reset.

It is asyncpg's extension point `connection_class`. Of asyncpg it takes for granted, beside the documented
methods, that the class is called with the protocol, the transport and the loop first, and two undocumented names:
`_on_release`, and `_is_cancelling` of `_protocol`. Tests hold that.
"""

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import asyncpg

from warmkit.resources.postgres.session import ResetMode, may_change_session

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = asyncpg.Connection  # cannot be subscripted at runtime

_RECEIVED_AT_ONCE = 1 << 16
"""Bytes. For asyncio's 256 KiB the memory is mapped and unmapped each time: a tenth of what a short query costs."""
_COMMIT = "COMMIT;"  # as asyncpg's transactions write it


class PooledConnection(_Connection):
    """A connection that a pool holds.

    Attributes:
        idle_since: When it last came back into the pool, on the loop's clock in seconds; None while it is in
            use, or before its first use.
        transport: Over what it speaks.
        reset_mode: When the pool resets it on release.
        commit_status: What the server answered to the last COMMIT of asyncpg's transactions: "ROLLBACK" where a
            statement had failed before, which asyncpg takes for success.
    """

    def __init__(self, protocol: Any, transport: Any, loop: Any, *rest: Any) -> None:
        super().__init__(protocol, transport, loop, *rest)
        self.idle_since: float | None = None
        self.reset_mode: ResetMode = "auto"
        self.commit_status = ""
        self.transport = transport
        if hasattr(transport, "max_size"):
            transport.max_size = _RECEIVED_AT_ONCE
        self._warmkit_now = loop.time
        self._warmkit_changed = False

    # -- its time in the pool

    def taken(self) -> None:
        """It leaves the pool for a user."""
        self.idle_since = None

    @property
    def is_idle(self) -> bool:
        """Whether it lies in the pool."""
        return self.idle_since is not None

    @property
    def idle_for(self) -> float:
        """The seconds for which it has lain in the pool."""
        return 0.0 if self.idle_since is None else self._warmkit_now() - self.idle_since

    def is_clean(self) -> bool:
        """Whether it can go back into the pool as it is, and nothing has to be waited for."""
        undocumented: Any = self
        if self.is_closed() or undocumented._protocol._is_cancelling():  # noqa: SLF001  see above
            return False
        return not self.is_in_transaction() and not self.get_reset_query()

    def note_release(self) -> None:
        """Its user lets go of it: tells one that has left listeners, as asyncpg does."""
        undocumented: Any = self
        undocumented._on_release()  # noqa: SLF001  see above

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  asyncpg's
        """Makes the session as new, as far as it is not. The pool calls it on each release."""
        await super().reset(timeout=timeout)
        self._warmkit_changed = False
        self.idle_since = self._warmkit_now()

    def get_reset_query(self) -> str:
        """Returns "", and so saves a round trip, where no statement since the last reset needs undoing."""
        wanted = self.reset_mode == "always" or (
            self.reset_mode == "auto" and self._warmkit_changed
        )
        return super().get_reset_query() if wanted else ""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  asyncpg's
        """Closes it; while that lasts it is nobody's."""
        self.idle_since = None
        await super().close(timeout=timeout)

    def terminate(self) -> None:
        """Closes it at once."""
        self.idle_since = None
        super().terminate()

    # -- every documented way for SQL of the user's to reach the server

    def _warmkit_note(self, query: object) -> None:
        self._warmkit_changed = (
            self._warmkit_changed or not isinstance(query, str) or may_change_session(query)
        )

    def execute(self, query: str, *args: Any, **options: Any) -> Any:
        self._warmkit_note(query)
        running = super().execute(query, *args, **options)
        return self._warmkit_committing(running) if query == _COMMIT else running

    async def _warmkit_committing(self, running: Awaitable[str]) -> str:
        self.commit_status = await running
        return self.commit_status

    def executemany(self, command: str, *args: Any, **options: Any) -> Any:
        self._warmkit_note(command)
        return super().executemany(command, *args, **options)

    def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        self._warmkit_note(query)
        return super().fetch(query, *args, **options)

    def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        self._warmkit_note(query)
        return super().fetchval(query, *args, **options)

    def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        self._warmkit_note(query)
        return super().fetchrow(query, *args, **options)

    def fetchmany(self, query: str, *args: Any, **options: Any) -> Any:
        self._warmkit_note(query)
        return super().fetchmany(query, *args, **options)

    def cursor(self, query: str, *args: Any, **options: Any) -> Any:
        self._warmkit_note(query)
        return super().cursor(query, *args, **options)

    def prepare(self, query: str, *args: Any, **options: Any) -> Any:
        self._warmkit_note(query)
        return super().prepare(query, *args, **options)

    def copy_from_query(self, query: str, *args: Any, **options: Any) -> Any:
        self._warmkit_note(query)
        return super().copy_from_query(query, *args, **options)
