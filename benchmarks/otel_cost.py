"""What does tracing add to an invocation, with an SDK and without one?

Each handler has five fresh resources and does nothing else, and is called as AWS's Python runtime calls it. Three
questions, each with its pair, which takes turns, a block of calls each, in one process:

- absent: `otel_observer()` where no SDK is configured, against no observer; and, which shows what the noise alone
  makes, no observer against no observer. Both many times over, in turns, each time with two handlers made anew.
- traced: the observer with the SDK and an exporter that throws everything away, against the same span with the same
  attributes made by hand with OpenTelemetry's API around a hand-written handler on a kept loop, both without a flush.
- flushed: the same two with a flush after each invocation: ours in a thread, bounded; by hand `force_flush()`, which
  is not.

    python -m benchmarks.otel_cost

Prints medians and writes every sample to benchmarks/results/otel_cost.json. Exits with 1 if an absent SDK costs anything
measurable: if what it adds, the median of its pairs, lies above what nine of ten pairs without any observer differ by. And if
those differ by so much that nothing can be told. Of each pair the quicker blocks count, which other work did not disturb.
"""

import asyncio
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)

from warmkit import Observer, WarmHandler, resource, warm_handler
from warmkit.resources import otel_observer

PAIRS = 20
ROUNDS = 300
BLOCK = 50
ABSENT_ROUNDS = 60
ABSENT_BLOCK = 200
TELLING_US = 0.2
RESULTS = Path(__file__).parent / "results" / "otel_cost.json"

Call = Callable[[], object]
Samples = dict[str, list[float]]


class Context:
    """As much of the runtime's context as anybody reads."""

    function_name = "orders"
    function_version = "7"
    aws_request_id = "8f5b9e6e-6a3c-4d9b-9f0e-2f1d3f0c7a11"
    log_stream_name = "2026/01/01/[7]5d3a"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders:live"

    def get_remaining_time_in_millis(self) -> int:
        return 3000


CONTEXT = Context()
EVENT = {
    "requestContext": {"http": {"method": "GET"}},
    "headers": {"traceparent": "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"},
}


class Nowhere(SpanExporter):
    """An exporter that throws everything away."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def make_handler(*observers: Observer) -> WarmHandler[int]:
    """A handler with five resources that have everything that the warm path asks: a probe, a check, limits."""

    def check(value: object) -> None:
        raise AssertionError("it is fresh, so nobody checks it")

    def alive(value: object) -> bool:
        return True

    def fresh() -> Any:
        return resource(check=check, check_after=60.0, alive=alive)(object)

    @warm_handler(a=fresh(), b=fresh(), c=fresh(), d=fresh(), e=fresh(), observers=observers)
    async def handler(  # noqa: PLR0917  a handler with five resources
        event: object, context: object, a: object, b: object, c: object, d: object, e: object
    ) -> int:
        return 1

    return handler


loop = asyncio.new_event_loop()
globals_: list[object] = [object() for _ in range(5)]


async def by_hand(event: dict[str, Any], context: Context) -> int:
    """The same, by a good engineer who knows the conventions."""
    tracer = trace.get_tracer("by hand")
    parent = propagate.extract(event.get("headers") or {}, contexts.Context())
    arn = context.invoked_function_arn.split(":")
    with tracer.start_as_current_span(
        context.function_name,
        context=parent,
        kind=trace.SpanKind.SERVER,
        attributes={
            "faas.trigger": "http",
            "faas.coldstart": False,
            "faas.invocation_id": context.aws_request_id,
            "faas.instance": context.log_stream_name,
            "aws.lambda.invoked_arn": context.invoked_function_arn,
            "cloud.resource_id": ":".join([*arn[:7], context.function_version]),
            "cloud.account.id": arn[4],
            "warmkit.environment.id": "5d3a",
            "warmkit.gap": 0.1,
        },
    ):
        assert all(globals_)
        return 1


def caller(handler: WarmHandler[int]) -> Call:
    return lambda: handler(EVENT, CONTEXT)


def call_by_hand() -> object:
    return loop.run_until_complete(by_hand(EVENT, CONTEXT))


def time_block(call: Call, calls: int) -> float:
    """Returns the microseconds of one call, over a block of them."""
    begun = time.perf_counter_ns()
    for _ in range(calls):
        call()
    return (time.perf_counter_ns() - begun) / calls / 1000


def interleave(a: Call, b: Call, *, rounds: int = ROUNDS, block: int = BLOCK) -> Samples:
    """Returns the samples of A and of B, taken in turns; who begins alternates."""
    for call in (a, b):  # cold start, and the interpreter's own warm-up
        time_block(call, block)
    gc.collect()
    gc.freeze()
    samples: tuple[list[float], list[float]] = ([], [])
    for round_ in range(rounds):
        first = round_ % 2
        samples[first].append(time_block((a, b)[first], block))
        samples[1 - first].append(time_block((a, b)[1 - first], block))
    return {"a": samples[0], "b": samples[1]}


def added(samples: Samples) -> float:
    return statistics.median(a - b for a, b in zip(samples["a"], samples["b"], strict=True))


def added_undisturbed(samples: Samples) -> float:
    """Returns by how much the quicker blocks of A, a fifth of them, take longer than those of B."""
    a, b = (statistics.quantiles(samples[side], n=5)[0] for side in "ab")
    return a - b


def without_sdk(*observers: Observer) -> Samples:
    """Returns the samples of a handler with these observers, which are absent, and of one without."""
    watched, bare = make_handler(*observers), make_handler()
    samples = interleave(caller(watched), caller(bare), rounds=ABSENT_ROUNDS, block=ABSENT_BLOCK)
    assert watched.environment.live.observers == ()
    watched.close()
    return samples


def measure() -> dict[str, list[Samples]]:
    """Returns the samples of each pair; those of an absent SDK first, as one stays once it is there."""
    found: dict[str, list[Samples]] = {"absent": [], "noise": []}
    for _ in range(PAIRS):
        found["absent"].append(without_sdk(otel_observer()))
        found["noise"].append(without_sdk())
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Nowhere(), schedule_delay_millis=3_600_000))
    trace.set_tracer_provider(provider)
    traced = make_handler(otel_observer(flush_timeout=None))
    found["traced"] = [interleave(caller(traced), call_by_hand)]
    traced.close()
    flushed = make_handler(otel_observer(flush_timeout=10.0))

    def flush_by_hand() -> object:
        result = call_by_hand()
        provider.force_flush()
        return result

    found["flushed"] = [interleave(caller(flushed), flush_by_hand)]
    assert len(flushed.environment.live.observers) == 1
    flushed.close()
    return found


def main() -> int:
    samples = measure()
    figures = {name: medians(pairs) for name, pairs in samples.items()}
    noise = [added_undisturbed(pair) for pair in samples["noise"]]
    adds = statistics.median(added_undisturbed(pair) for pair in samples["absent"])
    least, *_, most = statistics.quantiles(noise, n=20, method="inclusive")
    save({**figures, "adds_us": adds, "noise_us": [least, most]}, samples)
    print("an invocation with five fresh resources, medians:")
    for name, (a, b) in {
        "absent": ("observer, no SDK", "no observer"),
        "noise": ("no observer", "no observer"),
        "traced": ("observer and SDK", "by hand"),
        "flushed": ("... and a flush", "by hand, flushed"),
    }.items():
        figure = figures[name]
        print(
            f"  {a:17} {figure['a_us']:7.2f} us   {b:17} {figure['b_us']:7.2f} us   "
            f"added {figure['added_us']:7.3f} us"
        )
    told = most - least <= TELLING_US
    verdict = ("nothing measurable" if adds <= most else "more than noise") if told else "too noisy"
    print(
        f"  an absent SDK adds {adds:.3f} us; the noise is {least:.3f} to {most:.3f} us: {verdict}"
    )
    return 0 if told and adds <= most else 1


def medians(pairs: Sequence[Samples]) -> dict[str, float]:
    """Returns the medians of what each pair shows."""
    return {
        "a_us": statistics.median(statistics.median(pair["a"]) for pair in pairs),
        "b_us": statistics.median(statistics.median(pair["b"]) for pair in pairs),
        "added_us": statistics.median(added(pair) for pair in pairs),
    }


def save(figures: dict[str, Any], samples: dict[str, list[Samples]]) -> None:
    machine = {
        "python": sys.version,
        "platform": platform.platform(),
        "machine": platform.machine(),
    }
    content: dict[str, Any] = {
        "question": (__doc__ or "").partition("\n")[0],
        "machine": machine,
        "pairs": PAIRS,
        "calls_per_sample": {"absent": ABSENT_BLOCK, "noise": ABSENT_BLOCK, "others": BLOCK},
        "medians": figures,
        "samples_us_per_call": samples,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    sys.exit(main())
