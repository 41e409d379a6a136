"""Whatever the order in which several invocations' events come, each becomes its own tree, and nothing is kept."""

from collections import Counter
from contextvars import copy_context
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from warmkit import Call, Event, EventKind, StartError
from warmkit.resources.otel.spans import Spans
from warmkit.testing import VirtualClock

TIMELESS = {EventKind.REUSED, EventKind.RETIRED}
OF_RESOURCES = sorted(
    set(EventKind) - {EventKind.INVOCATION_STARTED, EventKind.INVOCATION_FINISHED}
)


class Told(NamedTuple):
    """An event, and whether its invocation is under way when it is told."""

    event: Event
    under_way: bool


def resource_events(environment, number):
    return st.builds(
        lambda kind, name: Event(
            kind, environment, number, name, 0.5, error=_error(kind, name), reason=_reason(kind)
        ),
        st.sampled_from(OF_RESOURCES),
        st.sampled_from(["db", "s3"]),
    )


def _error(kind, name):
    return StartError(name, 0.5) if kind.endswith("failed") else None


def _reason(kind):
    return "rebuild" if kind is EventKind.STARTED else ""


@st.composite
def invocations(draw, environment, number):
    """The story of one invocation: its beginning, what was done for it, its end, what came late."""
    name = f"{environment}/{number}"
    call = Call({}, type("Context", (), {"function_name": name}))
    events = st.lists(resource_events(environment, number), max_size=4)
    error = draw(st.sampled_from([None, ValueError("no")]))
    begun = Event(EventKind.INVOCATION_STARTED, environment, number, call=call)
    over = Event(EventKind.INVOCATION_FINISHED, environment, number, error=error, call=call)
    told = [begun, *draw(events), over]
    return [Told(event, True) for event in told] + [Told(event, False) for event in draw(events)]


@st.composite
def stories(draw):
    """Several invocations in two environments, and what happens outside of any, in any interleaving."""
    strands = [
        draw(invocations(environment, number)) for environment in "ab" for number in (1, 2, 3)
    ]
    strands.append(
        [Told(event, False) for event in draw(st.lists(resource_events("a", None), max_size=4))]
    )
    order = draw(st.permutations([n for n, strand in enumerate(strands) for _ in strand]))
    return [(n, strands[n].pop(0)) for n in order]


@given(stories())
def test_every_interleaving_makes_the_same_trees(story):
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    clock = VirtualClock()
    spans = Spans(provider.get_tracer("x"), clock, clock.read(), None)
    tasks = {strand: copy_context() for strand, _ in story}

    def tell(told):
        if told.event.kind is EventKind.INVOCATION_STARTED:
            spans.begin(told.event)
            assert trace.get_current_span().name == told.event.call.context.function_name
        elif told.event.kind is EventKind.INVOCATION_FINISHED:
            assert spans.end(told.event) is not None
            assert contexts.get_current() == {}
        elif told.event.kind is EventKind.RETIRED:
            spans.note(told.event)
        else:
            spans.add(told.event)

    for strand, told in story:
        clock.advance(1)
        tasks[strand].run(tell, told)

    finished = exporter.get_finished_spans()
    assert spans._running == {}
    assert max(Counter(span.context.span_id for span in finished).values(), default=1) == 1
    assert Counter(shape(span, finished) for span in finished) == Counter(
        expected(told) for _, told in story if told.event.kind not in TIMELESS | {BEGUN}
    )
    assert all(span.start_time <= span.end_time for span in finished)


BEGUN = EventKind.INVOCATION_STARTED


def shape(span, finished):
    """What can be told of a span: its name, its parent's name, whether it failed."""
    by_id = {item.context.span_id: item for item in finished}
    parent = None if span.parent is None else by_id[span.parent.span_id]
    assert parent is None or parent.context.trace_id == span.context.trace_id
    return span.name, parent and parent.name, not span.status.is_unset


def expected(told):
    event = told.event
    name = f"{event.environment_id}/{event.invocation}"
    failed = event.error is not None
    if event.kind is EventKind.INVOCATION_FINISHED:
        return name, None, failed
    operation = {"s": "rebuild", "c": "check", "r": "refresh"}[event.kind[0]]
    operation = "start" if event.kind is EventKind.START_FAILED else operation
    operation = "close" if event.kind.startswith("close") else operation
    return f"{operation} {event.resource}", name if told.under_way else None, failed
