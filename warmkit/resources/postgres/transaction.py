"""The recipe of a transaction for each invocation: committed when the handler returns, else rolled back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from warmkit import DefinitionError, Resource, resource
from warmkit.resources.errors import NotCommittedError, PoolExhaustedError

if TYPE_CHECKING:
    import asyncpg

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]

Isolation: TypeAlias = Literal[
    "read_uncommitted", "read_committed", "repeatable_read", "serializable"
]

_ROLLBACK = 1.0
"""Seconds for a rollback; then the connection is cut, upon which the server rolls back by itself."""
_SHARE = 0.9
"""Of `start_timeout` for waiting for a connection: the rest is for saying that none became free."""


def postgres_transaction(
    pool: "Resource[Pool]",
    *,
    name: str | None = None,
    isolation: Isolation | None = None,
    readonly: bool = False,
    deferrable: bool = False,
    start_timeout: float = 5.0,
    close_timeout: float = 5.0,
) -> "Resource[Connection]":
    """Returns the recipe of a connection in a transaction, one for each invocation.

    It is committed when the handler returns, and rolled back when the handler raises, is cancelled or runs out of
    time. If the commit fails, the invocation fails. Nothing is retried: after a serialization failure the whole
    invocation is to be repeated, which is its caller's to decide.

    It holds one of the pool's connections as long as the handler runs. A handler that needs the pool besides needs
    `max_size=2` there; else it is told so after `start_timeout`.

    ```python
    db = postgres_pool()
    tx = postgres_transaction(db, isolation="serializable")

    @warm_handler
    async def handler(event, context, tx: Annotated[asyncpg.Connection, tx]):
        await tx.execute("INSERT INTO orders VALUES ($1)", event["id"])
    ```

    Args:
        pool: What `postgres_pool` returned.
        name: What it is called in events and errors; default: the first parameter that takes it.
        isolation: "read_uncommitted", "read_committed", "repeatable_read" or "serializable". Default: the server's.
        readonly: Whether it may only read.
        deferrable: Whether a serializable transaction that only reads waits at its begin, rather than to fail later.
        start_timeout: Seconds for a connection and the BEGIN.
        close_timeout: Seconds for the COMMIT. One that takes longer may have taken effect or not.

    Raises:
        DefinitionError: An argument can never work.

    A failed commit is the cause of the invocation's `CloseError`: asyncpg's error, or `NotCommittedError`. A start that
    finds no free connection fails with `PoolExhaustedError` as the cause of its `StartError`.
    """
    _refuse_wrong(pool, isolation, readonly, deferrable)
    factory = _TransactionFactory(
        pool,
        {"isolation": isolation, "readonly": readonly, "deferrable": deferrable},
        start_timeout,
    )
    return resource(
        name=name,
        scope="invocation",
        start_timeout=start_timeout,
        close_timeout=close_timeout,
        pool=pool,
    )(factory)


class _TransactionFactory:
    """Begins transactions, and ends them with the outcome of their invocation."""

    def __init__(
        self, recipe: "Resource[Pool]", options: dict[str, Any], start_timeout: float
    ) -> None:
        self._recipe = recipe
        self._options = options
        self._start_timeout = start_timeout

    async def __call__(self, pool: Any) -> "AsyncIterator[Connection]":
        connection = await self._take(pool)
        _lend(pool, 1)
        try:
            transaction = await _begin(connection, self._options)
            try:
                yield connection
                await _commit(connection, transaction)
            except BaseException:
                await _roll_back(connection, transaction)
                raise
        finally:
            _lend(pool, -1)
            await pool.release(connection)

    async def _take(self, pool: Any) -> Any:
        """Takes a connection from the pool, ours or whatever stands in for it.

        A pool that can still open one says itself what is wrong with the server.
        """
        if pool.get_size() < pool.get_max_size():
            return await pool.acquire()
        seconds = self._start_timeout * _SHARE
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await pool.acquire()
        except TimeoutError:
            if not limit.expired():
                raise
        raise PoolExhaustedError(self._recipe.name, pool.get_max_size(), seconds)


def _lend(pool: Any, number: int) -> None:
    if hasattr(pool, "lent"):  # a pool of asyncpg's own, in an override, has no such count
        pool.lent += number


async def _begin(connection: Any, options: dict[str, Any]) -> Any:
    transaction = connection.transaction(**options)
    try:
        await transaction.start()
    except BaseException:
        _cut(connection)  # nobody can tell whether it has begun
        raise
    return transaction


async def _commit(connection: Any, transaction: Any) -> None:
    await transaction.commit()
    if getattr(connection, "commit_status", "COMMIT") != "COMMIT":
        raise NotCommittedError


async def _roll_back(connection: Any, transaction: Any) -> None:
    """Rolls back what is open, or cuts the connection; what goes wrong with that hides no other error."""
    try:
        async with asyncio.timeout(_ROLLBACK):
            if connection.is_in_transaction():
                await transaction.rollback()
    except Exception:  # noqa: BLE001  why it is rolled back matters more
        _cut(connection)
    except BaseException:
        _cut(connection)
        raise


def _cut(connection: Any) -> None:
    with suppress(Exception):  # the pool has taken it back: it was cut already
        connection.terminate()


def _refuse_wrong(pool: object, isolation: object, readonly: object, deferrable: object) -> None:
    if not isinstance(pool, Resource):
        raise DefinitionError(
            f"postgres_transaction takes a pool's resource, not {type(pool).__name__}.\n"
            "  Write: db = postgres_pool(), then postgres_transaction(db)."
        )
    if isolation is not None and isolation not in get_args(Isolation):
        words = " or ".join(repr(word) for word in get_args(Isolation))
        raise DefinitionError(f"isolation must be {words}, or None")
    for option, value in (("readonly", readonly), ("deferrable", deferrable)):
        if not isinstance(value, bool):
            raise DefinitionError(f"{option} must be True or False, not {type(value).__name__}")
    if deferrable and not (readonly and isolation == "serializable"):
        raise DefinitionError(
            "deferrable has an effect on serializable transactions that only read.\n"
            "  Write: isolation='serializable', readonly=True, deferrable=True."
        )
