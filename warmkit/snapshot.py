"""What a snapshot of the process may hold: values that bear to be cloned. Everything else is closed before.

Many environments may be restored from one snapshot; a connection can belong to one of them at most.
"""

from warmkit.errors import ResourceError
from warmkit.events import State
from warmkit.live import LiveSet
from warmkit.settle import finish_works, settle_observers
from warmkit.slot import Slot
from warmkit.teardown import tear_down

CLOSING = 30.0
"""Seconds for everything that is closed: a snapshot is taken in an init phase of 130 s or more.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""
_ALIVE = (State.STARTING, State.WARM, State.CHECKING)


async def close_for_snapshot(live: LiveSet) -> list[ResourceError]:
    """Does what was left for after responses, closes what a snapshot must not hold, and has observers let go of what they keep.

    Returns:
        What did not close, and why.
    """
    await finish_works(live)
    for slot in live.alive():
        if slot.state in _ALIVE and not _bears_cloning(slot):
            live.retire(slot, "a snapshot is taken")
    leaving = [slot for slot in live.alive() if slot.state is State.RETIRING]
    errors = await tear_down(leaving, budget=CLOSING)
    live.take_closing()  # nothing is left for the first invocation to wait for
    await settle_observers(live.settlers, seconds=CLOSING)
    return errors


def _bears_cloning(slot: Slot) -> bool:
    """Whether a copy of the value works as the value does: as the recipe says, or as far as can be seen."""
    wish = slot.recipe.options.snapshot
    if slot.state is State.STARTING or wish == "close":
        return False
    return wish == "keep" or not (slot.closes or slot.recipe.perishable)
