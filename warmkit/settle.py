"""Ends what a freeze must not catch: work after the response, values that are being closed, what observers keep.

Nobody knows when the loop runs again after an invocation. Nothing here fails: what goes wrong is logged.
"""

import asyncio
import logging
from collections.abc import Iterable

from warmkit.events import Settler
from warmkit.live import LiveSet

_log = logging.getLogger("warmkit")

CLOSING = 0.25
"""Seconds for retired values to close before the loop stands still again."""


async def settle(live: LiveSet) -> None:
    """Does what was left for after the response, lets retired values close, and then observers let go of what they keep."""
    await finish_works(live)
    closing = live.take_closing()
    if closing:
        await asyncio.wait(closing, timeout=CLOSING)
    settling = [asyncio.create_task(_settled(settler)) for settler in live.settlers]
    if settling:
        await asyncio.wait(settling)


async def finish_works(live: LiveSet, *, seconds: float | None = None) -> None:
    """Does what invocations left to be done.

    Args:
        live: What keeps it.
        seconds: For all of it; None: what each may take.
    """
    if live.works:
        from warmkit.afterwards import finish

        await finish(live.works, seconds=seconds)


async def settle_observers(settlers: Iterable[Settler], *, seconds: float) -> None:
    """Lets observers let go of what they keep, at the end of an environment.

    Args:
        settlers: The observers.
        seconds: For all of them.
    """
    settling = [asyncio.create_task(_settled(settler)) for settler in settlers]
    if settling:
        await asyncio.wait(settling, timeout=max(0.0, seconds))


async def _settled(settler: Settler) -> None:
    try:
        await settler.settle()
    except Exception:  # noqa: BLE001  an observer's failure is never the invocation's
        _log.exception("the observer %r failed to settle", settler)
