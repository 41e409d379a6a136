"""What does tracing add to an invocation, with an SDK and without one?

Each handler has five fresh resources and does nothing else, and is called as AWS's Python runtime calls it. No SDK: a handler with
`otel_observer()` where none is configured, beside one without an observer. An SDK: the observer with an exporter that throws everything away,
beside the same span with the same attributes that a good engineer makes by hand around a handler on a kept loop; both without a
flush, and both with one after each invocation (warmkit's in a thread, and bounded; by hand `force_flush()`, which is not).

Without an SDK the difference is of a few nanoseconds, less than where two handlers happen to lie in memory. So handlers are made anew many times, and
of each pair the quicker blocks count, which other work did not disturb.
"""

import asyncio
import statistics
from collections.abc import Sequence
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Finding, Row, counted
from benchmarks.harness.run import Run, in_fresh_process
from benchmarks.harness.timing import Call, interleave, time_block
from warmkit import Observer, WarmHandler, resource, warm_handler
from warmkit.resources import otel_observer

NOT_SHOWN = "The way to a collector, and what an exporter takes: this one throws everything away."

BLOCK = 50
ABSENT, BARE, AGAIN = (
    "warmkit, observer and no SDK",
    "warmkit, no observer",
    "warmkit, no observer again",
)
TRACED, SPAN = "warmkit, observer and SDK", "by hand, a span"
FLUSHED, SPAN_FLUSHED = "warmkit, with a flush", "by hand, with a flush"


def ask(run: Run) -> Answer:
    absent, traced = [], []
    for _ in run.rounds(12, quick=3):
        absent += in_fresh_process(trial_without_sdk, run.times(5, quick=4), 40)
        traced.append(in_fresh_process(trial_with_sdk, run.times(60, quick=20)))
    without = Comparison(
        "absent",
        "an invocation with five fresh resources, no SDK",
        "us",
        [Row(name, [pair[name] for pair in absent]) for name in (BARE, ABSENT, AGAIN)],
        base=BARE,
        again=AGAIN,
    )
    within = Comparison(
        "traced",
        "an invocation with five fresh resources and an SDK",
        "us",
        [Row(name, [item[name] for item in traced]) for name in traced[0]],
        base=SPAN,
    )
    noise = [abs(undisturbed(pair, AGAIN)) for pair in absent]
    most = round(statistics.quantiles(noise, n=10, method="inclusive")[-1], 3)
    return Answer(
        [without, within],
        [
            Finding(
                "absent",
                "without an SDK the observer adds {} to an invocation",
                figures.median_of([undisturbed(pair, ABSENT) for pair in absent]),
                "us",
                digits=3,
                at_most=most,
                closing=True,
            ),
            Finding(
                "noise",
                "two handlers without one differ, nine of ten times, by less than {}",
                counted(most),
                "us",
                digits=3,
            ),
            Finding(
                "traced",
                "with an SDK an invocation takes {} times that with the same span by hand",
                figures.ratio(within.row(TRACED), within.row(SPAN)),
            ),
            Finding(
                "flushed",
                "with a flush, {} times that with a flush by hand",
                figures.ratio(within.row(FLUSHED), within.row(SPAN_FLUSHED)),
            ),
        ],
    )


def undisturbed(pair: dict[str, list[float]], name: str) -> float:
    """Returns by how much the quicker blocks, a fifth of them, take longer than those without an observer."""
    those, bare = (statistics.quantiles(pair[which], n=5)[0] for which in (name, BARE))
    return those - bare


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


def trial_without_sdk(times: int, rounds: int) -> list[dict[str, list[float]]]:
    """Returns, several times over with new handlers, the samples of each."""
    return [pair_without_sdk(rounds) for _ in range(times)]


def pair_without_sdk(rounds: int) -> dict[str, list[float]]:
    watched, bare, again = make_handler(otel_observer()), make_handler(), make_handler()
    cases = {
        BARE: lambda: bare(EVENT, CONTEXT),
        ABSENT: lambda: watched(EVENT, CONTEXT),
        AGAIN: lambda: again(EVENT, CONTEXT),
    }
    for call in cases.values():
        time_block(call, 200)
    samples = interleave(cases, rounds=rounds, block=200)
    assert watched.environment.live.observers == ()
    for handler in (watched, bare, again):
        handler.close()
    return samples


def trial_with_sdk(rounds: int) -> dict[str, list[float]]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Nowhere(), schedule_delay_millis=3_600_000))
    trace.set_tracer_provider(provider)
    loop = asyncio.new_event_loop()

    def span() -> object:
        return loop.run_until_complete(by_hand(EVENT, CONTEXT))

    def span_and_flush() -> object:
        result = span()
        provider.force_flush()
        return result

    return {
        **beside(TRACED, otel_observer(flush_timeout=None), {SPAN: span}, rounds),
        **beside(
            FLUSHED, otel_observer(flush_timeout=10.0), {SPAN_FLUSHED: span_and_flush}, rounds
        ),
    }


def beside(
    name: str, observer: Observer, others: dict[str, Call], rounds: int
) -> dict[str, list[float]]:
    """Returns the samples of a handler with an observer, and of others. Observers are an environment's: one at a time."""
    handler = make_handler(observer)
    cases: dict[str, Call] = {name: lambda: handler(EVENT, CONTEXT), **others}
    for call in cases.values():
        time_block(call, 4 * BLOCK)
    samples = interleave(cases, rounds=rounds, block=BLOCK)
    assert len(handler.environment.live.observers) == 1
    handler.close()
    return samples
