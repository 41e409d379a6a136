"""The garbage collector while a process loads."""

import gc
from collections.abc import Iterator

import pytest

from warmkit.runtime import collector


class Loaded:
    """What a module makes."""


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_what_is_loaded_while_it_rests_counts_as_old_and_is_not_frozen() -> None:
    gc.unfreeze()
    frozen = gc.get_freeze_count()
    collector.rest()
    assert gc.isenabled()
    assert gc.get_threshold()[0] == 0
    kept = [Loaded() for _ in range(5000)]
    collector.wake()
    assert gc.get_threshold()[0] > 0
    assert gc.get_freeze_count() == frozen
    assert not any(isinstance(item, Loaded) for item in gc.get_objects(generation=0))
    assert sum(isinstance(item, Loaded) for item in gc.get_objects(generation=2)) == len(kept)


def test_what_a_module_has_frozen_stays_frozen() -> None:
    collector.rest()
    gc.freeze()
    frozen = gc.get_freeze_count()
    collector.wake()
    assert gc.get_freeze_count() >= frozen // 2 > 0


def test_thresholds_of_a_module_stay() -> None:
    collector.rest()
    gc.set_threshold(123, 4, 5)
    collector.wake()
    assert gc.get_threshold() == (123, 4, 5)
