"""How long does an invocation take to fail while the database hangs, with a circuit breaker and without?

A server that completes the TCP handshake and never says a word, as one behind a wrong security group or in deep trouble
does. Two handlers with a pool each, called as AWS's Python runtime calls them; one pool takes a breaker. Without it each
invocation spends the start deadline (half a second here, five by default). With it the first `fail_max` do.

    python -m benchmarks.breaker_guard

Writes every sample to benchmarks/results/breaker_guard.json. Exits with 1 if, once the circuit is open, more than one in
a hundred guarded invocations takes 5 ms or more, or if one without a breaker takes less.
"""

import gc
import json
import socket
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from warmkit import Resource, StartError, warm_handler
from warmkit.resources import CircuitOpenError, circuit_breaker, postgres_pool

LIMIT_MS = 5.0
START_TIMEOUT_S = 0.5
FAIL_MAX = 3
WITHOUT_CALLS, OPEN_CALLS = 8, 200
RESULTS = Path(__file__).parent / "results" / "breaker_guard.json"


def make_handler(db: Resource[Any]) -> Callable[[object, object], object]:
    @warm_handler(db=db)
    async def handler(event: object, context: object, db: Any) -> object:
        raise AssertionError("there is no database")

    return handler


def time_failure(handler: Callable[[object, object], object]) -> tuple[float, bool]:
    """Returns the milliseconds of an invocation that fails, and whether the circuit was open."""
    begun = time.perf_counter_ns()
    try:
        handler({}, None)
    except StartError as error:
        taken = (time.perf_counter_ns() - begun) / 1e6
        return taken, isinstance(error.__cause__, CircuitOpenError)
    raise AssertionError("it did not fail")


def measure(dsn: str) -> dict[str, list[float]]:
    plain = make_handler(postgres_pool(dsn, start_timeout=START_TIMEOUT_S))
    breaker = circuit_breaker(fail_max=FAIL_MAX, reset_timeout=600, name="database")
    guarded = make_handler(postgres_pool(dsn, start_timeout=START_TIMEOUT_S, breaker=breaker))
    without = [time_failure(plain) for _ in range(WITHOUT_CALLS)]
    learning = [time_failure(guarded) for _ in range(FAIL_MAX)]
    gc.collect()
    gc.freeze()  # else one of them pays for what the imports left behind
    opened = [time_failure(guarded) for _ in range(OPEN_CALLS)]
    assert not any(rejected for _, rejected in without + learning)
    assert all(rejected for _, rejected in opened)
    told = {"without": without, "learning": learning, "open": opened}
    return {name: [taken for taken, _ in samples] for name, samples in told.items()}


def main() -> int:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        port = silent.getsockname()[1]
        samples = measure(f"postgresql://ada:pw@127.0.0.1:{port}/app")
    RESULTS.parent.mkdir(exist_ok=True)
    content = {"question": (__doc__ or "").partition("\n")[0], "milliseconds": samples}
    RESULTS.write_text(json.dumps(content) + "\n")
    print(f"an invocation fails while the database hangs, start_timeout={START_TIMEOUT_S:g} s:")
    for name, taken in samples.items():
        print(
            f"  {name:10} {len(taken):4} invocations   median {statistics.median(taken):8.2f} ms"
            f"   slowest {max(taken):8.2f} ms"
        )
    of_a_hundred = statistics.quantiles(samples["open"], n=100)[-1]
    held = of_a_hundred < LIMIT_MS < min(samples["without"])
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
