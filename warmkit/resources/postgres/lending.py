"""The pool class: does not wait for ever for connections that only invocations give back, nor for one that is clean.

A `postgres_transaction` holds a connection until its handler returns. When such transactions hold all of them, a
handler that waits for one more may wait for itself, and asyncpg has no limit for that.

asyncpg gives each connection back in a task of its own, which a cancellation cannot cut short. Where nothing is to be
reset, that is three turns of the loop for nothing: a third of what a short query costs. To leave it out takes three
undocumented names: `_con` and `_holder` of what a pool lends, and `_pool` of the holder. A test holds them.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import asyncpg

from warmkit.resources.errors import PoolExhaustedError

if TYPE_CHECKING:
    _Pool = asyncpg.Pool[asyncpg.Record]
else:
    _Pool = asyncpg.Pool  # cannot be subscripted at runtime


class LendingPool(_Pool):
    """An asyncpg pool that knows how many of its connections are lent to transactions.

    Attributes:
        lent: How many are.
    """

    def __init__(self, *, resource: str, patience: float, **options: Any) -> None:
        super().__init__(**options)
        self.lent = 0
        self._warmkit_resource = resource
        self._warmkit_patience = patience

    def acquire(self, *, timeout: float | None = None) -> Any:  # asyncpg's
        """Takes a connection. While transactions hold all of them, it waits no longer than a start may take."""
        if self.lent < self.get_max_size() or timeout is not None:
            return super().acquire(timeout=timeout)
        limit = self._warmkit_patience
        exhausted = PoolExhaustedError(self._warmkit_resource, self.get_max_size(), limit)
        return _Waiting(super().acquire(timeout=limit), exhausted)

    async def release(self, connection: Any, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  asyncpg's
        """Takes a connection back, at once if it is clean."""
        holder = getattr(connection, "_holder", None)
        held = getattr(connection, "_con", None) if getattr(holder, "_pool", None) is self else None
        if holder is None or held is None or not held.is_clean():
            await super().release(connection, timeout=timeout)
            return
        held.note_release()
        await holder.release(None)  # which does not suspend


class _Waiting:
    """What `acquire` returns, to be awaited or entered; says what it waited for when the time is up."""

    def __init__(self, context: Any, exhausted: PoolExhaustedError) -> None:
        self._context = context
        self._exhausted = exhausted

    def __await__(self) -> Generator[Any, None, Any]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Any:
        try:
            return await self._context.__aenter__()
        except TimeoutError:
            raise self._exhausted from None

    async def __aexit__(self, *outcome: object) -> None:
        await self._context.__aexit__(*outcome)
