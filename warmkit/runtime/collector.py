"""The garbage collector rests while a process loads: what is loaded stays, and looking through it takes a tenth of the time."""

import gc

_thresholds = gc.get_threshold()


def rest() -> None:
    """Nothing is collected from now on."""
    gc.set_threshold(0)


def wake() -> None:
    """Collects again. What is there by now counts as old; what the loaded modules have set themselves stays as it is.

    It is not left frozen: what a resource loads later (a client of AWS) can be counted as old only where nothing is.
    """
    frozen = gc.get_freeze_count()
    gc.freeze()
    if frozen == 0:  # what a module, or CPython 3.12 itself, has frozen must stay so
        gc.unfreeze()
    if gc.get_threshold()[0] == 0:
        gc.set_threshold(*_thresholds)
