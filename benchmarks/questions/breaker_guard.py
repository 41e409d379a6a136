"""How long does an invocation take to fail while the database hangs, with a circuit breaker and without?

A server that completes the TCP handshake and never says a word, as one behind a wrong security group or in deep trouble
does. Two handlers with a pool each, called as AWS's Python runtime calls them; one pool takes a breaker. Without it each
invocation spends the start deadline (half a second here, five by default). With it the first three do, and then the circuit is
open. Each round is a fresh process.
"""

import gc
import socket
import time
from typing import Any

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Finding, Row
from benchmarks.harness.run import Run, in_fresh_process
from warmkit import Resource, StartError, WarmHandler, warm_handler
from warmkit.resources import CircuitOpenError, circuit_breaker, postgres_pool

NOT_SHOWN = "A service that is slow and not dead: a breaker counts what fails, so a timeout has to make it fail."

START_TIMEOUT_S = 0.5
FAIL_MAX = 3
WITHOUT, LEARNING, OPEN = "no breaker", "warmkit, until it opens", "warmkit, circuit open"


def ask(run: Run) -> Answer:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        dsn = f"postgresql://ada:pw@127.0.0.1:{silent.getsockname()[1]}/app"
        taken = [
            in_fresh_process(trial, dsn, run.times(2, quick=1)) for _ in run.rounds(10, quick=3)
        ]
    rows = [Row(name, [samples[name] for samples in taken]) for name in taken[0]]
    comparison = Comparison(
        "failure", "an invocation that fails while the database hangs", "ms", rows, base=WITHOUT
    )
    return Answer(
        [comparison],
        [
            Finding(
                "open",
                "while the database hangs, an open circuit fails 99 of 100 invocations within {}",
                figures.quantile(comparison.row(OPEN), 0.99),
                "ms",
                at_most=5,
                closing=True,
            ),
            Finding(
                "without",
                f"without a breaker it takes {{}}, of a start deadline of {1000 * START_TIMEOUT_S:g}",
                figures.median(comparison.row(WITHOUT)),
                "ms",
                digits=0,
                at_least=800 * START_TIMEOUT_S,
            ),
        ],
    )


def trial(dsn: str, times: int) -> dict[str, list[float]]:
    plain = make_handler(postgres_pool(dsn, start_timeout=START_TIMEOUT_S))
    breaker = circuit_breaker(fail_max=FAIL_MAX, reset_timeout=600, name="database")
    guarded = make_handler(postgres_pool(dsn, start_timeout=START_TIMEOUT_S, breaker=breaker))
    without = [time_failure(plain, rejected=False) for _ in range(times)]
    learning = [time_failure(guarded, rejected=False) for _ in range(FAIL_MAX)]
    gc.collect()
    gc.freeze()  # else one of them pays for what the imports left behind
    opened = [time_failure(guarded, rejected=True) for _ in range(200)]
    return {WITHOUT: without, LEARNING: learning, OPEN: opened}


def make_handler(db: Resource[Any]) -> WarmHandler[object]:
    @warm_handler(db=db)
    async def handler(event: object, context: object, db: Any) -> object:
        raise AssertionError("there is no database")

    return handler


def time_failure(handler: WarmHandler[object], *, rejected: bool) -> float:
    """Returns the milliseconds of an invocation that fails, as expected of the circuit."""
    begun = time.perf_counter_ns()
    try:
        handler({}, None)
        cause = None
    except StartError as error:
        taken, cause = (time.perf_counter_ns() - begun) / 1e6, error.__cause__
    assert cause is not None, "it did not fail"
    assert isinstance(cause, CircuitOpenError) == rejected, cause
    return taken
