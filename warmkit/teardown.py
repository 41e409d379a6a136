"""Closes slots in order, inside a budget: what depends before what it depends on, each level side by side.

One that hangs costs only its share; a cancellation is kept back until every closer has run.
"""

import asyncio
from collections.abc import Iterable

from warmkit.clock import outlast
from warmkit.errors import CloseError, ResourceError, TimeLimitError
from warmkit.events import State
from warmkit.slot import SHARE, Slot

GRACE = 0.02
"""Seconds for a closer that ran out of time to take note of its cancellation."""


async def tear_down(slots: Iterable[Slot], *, budget: float) -> list[ResourceError]:
    """Closes every slot once, in use or not.

    Args:
        slots: Which; what they are built on stays, if it is not among them.
        budget: Seconds for all of them. Each level gets an equal share of what is left.

    Returns:
        What did not close, and why.

    Raises:
        asyncio.CancelledError: The caller was cancelled meanwhile; every closer has run nevertheless.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + budget
    waves = _dependents_first(slots)
    errors: list[ResourceError] = []
    cancelled: asyncio.CancelledError | None = None
    while waves:
        share = max(0.0, ends - loop.time()) / len(waves)
        wave = waves.pop(0)
        cancelled = await _close_wave(wave, share) or cancelled
        errors += [error for slot in wave if (error := _failure(slot, share)) is not None]
    if cancelled is not None:
        raise cancelled
    return errors


async def _close_wave(wave: list[Slot], share: float) -> asyncio.CancelledError | None:
    limit = max(0.0, share - GRACE)
    closing = [task for slot in wave if (task := slot.close(limit)) is not None]
    return await outlast(closing, seconds=share)


def _failure(slot: Slot, share: float) -> ResourceError | None:
    if slot.state is State.CLOSED:
        return slot.error if isinstance(slot.error, CloseError) else None
    error = CloseError(slot.name, share, advice="It goes on although it was cancelled.")
    error.__cause__ = TimeLimitError("the close", share, SHARE)
    return error


def _dependents_first(slots: Iterable[Slot]) -> list[list[Slot]]:
    depth: dict[Slot, int] = {}

    def visit(slot: Slot) -> int:
        if slot not in depth:
            depth[slot] = 1 + max((visit(below) for below in slot.built_on), default=-1)
        return depth[slot]

    chosen = list(slots)
    levels = sorted({visit(slot) for slot in chosen}, reverse=True)
    return [[slot for slot in chosen if depth[slot] == level] for level in levels]
