"""What does tracing add to an invocation, with an SDK and without one?

Each handler has five fresh resources and does nothing else, and is called as AWS's Python runtime calls it. Three
questions, each with its pair, which takes turns, a block of calls each, in one process:

- absent: `otel_observer()` where no SDK is configured, against no observer. The pair is repeated with the same
  handler on both sides, which shows what the noise alone makes.
- traced: the observer with the SDK and an exporter that throws everything away, against the same span with the same
  attributes made by hand with OpenTelemetry's API around a hand-written handler on a kept loop, both without a flush.
- flushed: the same two with a flush after each invocation: ours in a thread, bounded; by hand `force_flush()`, which
  is not.

    python -m benchmarks.otel_cost

Prints medians and writes every sample to benchmarks/results/otel_cost.json. Exits with 1 if an absent SDK costs more
than 1 microsecond above the noise.
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

LIMIT_US = 1.0
ROUNDS = 300
BLOCK = 50
RESULTS = Path(__file__).parent / "results" / "otel_cost.json"

Call = Callable[[], object]


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


def time_block(call: Call) -> float:
    """Returns the microseconds of one call, over a block of them."""
    begun = time.perf_counter_ns()
    for _ in range(BLOCK):
        call()
    return (time.perf_counter_ns() - begun) / BLOCK / 1000


def interleave(a: Call, b: Call) -> dict[str, list[float]]:
    """Returns the samples of A and of B, taken in turns; who begins alternates."""
    for call in (a, b):  # cold start, and the interpreter's own warm-up
        time_block(call)
    gc.collect()
    gc.freeze()
    samples: tuple[list[float], list[float]] = ([], [])
    for round_ in range(ROUNDS):
        first = round_ % 2
        samples[first].append(time_block((a, b)[first]))
        samples[1 - first].append(time_block((a, b)[1 - first]))
    return {"a": samples[0], "b": samples[1]}


def added(samples: dict[str, list[float]]) -> float:
    return statistics.median(a - b for a, b in zip(samples["a"], samples["b"], strict=True))


def measure() -> dict[str, dict[str, list[float]]]:
    """Returns the samples of each pair; those of an absent SDK first, as one stays once it is there."""
    absent, bare, observer = make_handler(otel_observer()), make_handler(), make_handler()
    found = {
        "absent": interleave(caller(absent), caller(bare)),
        "noise": interleave(caller(bare), caller(observer)),
    }
    assert absent.environment.live.observers == ()
    absent.close()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Nowhere(), schedule_delay_millis=3_600_000))
    trace.set_tracer_provider(provider)
    traced = make_handler(otel_observer(flush_timeout=None))
    found["traced"] = interleave(caller(traced), call_by_hand)
    traced.close()
    flushed = make_handler(otel_observer(flush_timeout=10.0))

    def flush_by_hand() -> object:
        result = call_by_hand()
        provider.force_flush()
        return result

    found["flushed"] = interleave(caller(flushed), flush_by_hand)
    assert len(flushed.environment.live.observers) == 1
    flushed.close()
    return found


def main() -> int:
    samples = measure()
    figures = {
        name: {
            "a_us": statistics.median(pair["a"]),
            "b_us": statistics.median(pair["b"]),
            "added_us": added(pair),
        }
        for name, pair in samples.items()
    }
    save(figures, samples)
    print(f"an invocation with five fresh resources, median of {ROUNDS} blocks of {BLOCK} calls:")
    for name, (a, b) in {
        "absent": ("observer, no SDK", "no observer"),
        "noise": ("no observer", "no observer"),
        "traced": ("observer and SDK", "by hand"),
        "flushed": ("... and a flush", "by hand, flushed"),
    }.items():
        figure = figures[name]
        print(
            f"  {a:17} {figure['a_us']:7.2f} us   {b:17} {figure['b_us']:7.2f} us   "
            f"added {figure['added_us']:6.2f} us"
        )
    above = figures["absent"]["added_us"] - abs(figures["noise"]["added_us"])
    print(f"  an absent SDK costs {above:.2f} us above the noise   (at most {LIMIT_US:g})")
    return 0 if above <= LIMIT_US else 1


def save(figures: dict[str, Any], samples: dict[str, Any]) -> None:
    machine = {
        "python": sys.version,
        "platform": platform.platform(),
        "machine": platform.machine(),
    }
    content: dict[str, Any] = {
        "question": (__doc__ or "").partition("\n")[0],
        "machine": machine,
        "rounds": ROUNDS,
        "calls_per_sample": BLOCK,
        "medians": figures,
        "samples_us_per_call": samples,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    sys.exit(main())
