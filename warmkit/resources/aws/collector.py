"""Keeps the garbage collector out of a burst of work that only makes what stays. Knows nothing of AWS."""

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Generator[None]:
    """Around imports and the parsing of models: the collector neither runs meanwhile nor looks through it all afterwards.

    Nothing of it is garbage, and to find that out again and again takes an eighth of a cold start. What was made counts
    as old from then on, so that it is looked through as seldom as anything that lives long, but still is. Where the
    user has turned the collector off, it stays off.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        _count_as_old()
        gc.enable()


def _count_as_old() -> None:
    """Moves all that is young to the oldest generation, without looking through it."""
    if gc.get_freeze_count() == 0:  # what the user, or CPython 3.12 itself, has frozen must stay so
        gc.freeze()
        gc.unfreeze()
