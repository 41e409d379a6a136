"""Times calls inside one process: contenders take turns, a block of calls each."""

import gc
import time
from collections.abc import Callable, Mapping

from benchmarks.harness.run import turns

Call = Callable[[], object]


def interleave(
    cases: Mapping[str, Call], *, rounds: int, block: int, calls: int = 1
) -> dict[str, list[float]]:
    """Returns each case's samples: the microseconds of one call, over a block of them.

    Warm them up first: everything that exists by now is kept from the garbage collector.

    Args:
        cases: What to call.
        rounds: How many samples of each.
        block: How many times a case is called for a sample.
        calls: How many calls a case makes itself.
    """
    gc.collect()
    gc.freeze()
    samples: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds):
        for name in turns(list(cases), number):
            samples[name].append(time_block(cases[name], block) / calls)
    return samples


def time_block(call: Call, block: int) -> float:
    """Returns the microseconds of one call, over a block of them."""
    begun = time.perf_counter_ns()
    for _ in range(block):
        call()
    return (time.perf_counter_ns() - begun) / block / 1000
