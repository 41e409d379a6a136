"""Turns the events of environments into spans: one for each invocation, with what was done for it below.

A state machine: its state is the invocations under way, each put in by its start and taken out by its end. It knows
nothing of who listens, and of metrics. Loaded when somebody listens.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import NamedTuple

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from warmkit import Call, Event, EventKind, ResourceError
from warmkit.clock import Clock, Reading
from warmkit.resources.otel import faas
from warmkit.resources.otel.parents import Carrier, links_of, parent_of

_OPERATIONS: Mapping[EventKind, str] = {
    EventKind.STARTED: "start",
    EventKind.START_FAILED: "start",
    EventKind.CHECKED: "check",
    EventKind.CHECK_FAILED: "check",
    EventKind.REFRESHED: "refresh",
    EventKind.REFRESH_FAILED: "refresh",
    EventKind.CLOSED: "close",
    EventKind.CLOSE_FAILED: "close",
}

_NOWHERE = Context()
_NOTHING = Call(None, None)


class Running(NamedTuple):
    """An invocation under way.

    Attributes:
        span: Its span.
        context: OpenTelemetry's context with the span in it.
        before: The context that it displaced.
        outer: The invocation whose handler called this one, in the same task.
        trigger: What kind of thing triggered it.
        cold: Somebody waited for the environment.
    """

    span: Span
    context: Context
    before: Context
    outer: "Running | None"
    trigger: str
    cold: bool


_inside: ContextVar[Running | None] = ContextVar("warmkit_otel_invocation", default=None)


class Spans:
    """Makes spans of events.

    Safe for events of any number of environments, each in a thread of its own: an invocation's events
    touch nothing but its own entry.

    Args:
        tracer: Makes the spans.
        clock: Where the time comes from.
        made: When the environment's code was loaded.
        carrier: Finds an invocation's parent; None: in the event's headers.
    """

    def __init__(
        self, tracer: Tracer, clock: Clock, made: Reading, carrier: Carrier | None
    ) -> None:
        self._tracer = tracer
        self._clock = clock
        self._made = made
        self._carrier = carrier
        self._running: dict[tuple[str, int | None], Running] = {}

    # -- invocations

    def begin(self, event: Event) -> Running:
        """Begins the span of an invocation, and makes it the current one for the handler."""
        call = event.call or _NOTHING
        now = self._clock.read()
        cold = faas.is_cold_start(event.invocation, self._made, now)
        trigger = faas.trigger_of(call.event)
        parent = parent_of(call, self._carrier)
        span = self._tracer.start_span(
            faas.span_name(call),
            context=parent,
            kind=SpanKind.SERVER,
            attributes={
                "faas.trigger": trigger,
                "faas.coldstart": cold,
                **faas.span_attributes(call.context),
                **_about(event),
            },
            links=links_of(call.event),
            start_time=_nanoseconds(now.wall),
        )
        return self._enter(event, span, parent, trigger, cold=cold)

    def _enter(
        self, event: Event, span: Span, parent: Context, trigger: str, *, cold: bool
    ) -> Running:
        inside = trace.set_span_in_context(span, parent)
        running = Running(span, inside, contexts.get_current(), _inside.get(), trigger, cold)
        self._running[event.environment_id, event.invocation] = running
        _inside.set(running)
        contexts.attach(inside)
        return running

    def end(self, event: Event) -> Running | None:
        """Ends the span of an invocation; None: its beginning was not seen."""
        running = self._running.pop((event.environment_id, event.invocation), None)
        if running is None:
            return None
        _leave(running)
        try:
            if event.error is not None:
                _mark_failed(running.span, event.error)
                running.span.record_exception(event.error)
        finally:  # the text of an exception is somebody's code
            running.span.end(_nanoseconds(self._clock.read().wall))
        return running

    # -- what is done to resources

    def add(self, event: Event) -> None:
        """Adds the span of what was done to a resource, and is over; a value that is reused has none."""
        operation = operation_of(event)
        if operation is None:
            return
        ended = self._clock.read().wall
        span = self._tracer.start_span(
            f"{operation} {event.resource}",
            context=self._place(event),
            kind=SpanKind.INTERNAL,
            attributes=_about(event),
            start_time=_nanoseconds(ended - event.seconds),
        )
        if event.error is not None:
            _mark_failed(span, event.error)
        span.end(_nanoseconds(ended))

    def _place(self, event: Event) -> Context:
        """Returns where a span belongs: in its invocation, or, if that is over or there is none, nowhere."""
        running = self._running.get((event.environment_id, event.invocation))
        return _NOWHERE if running is None else running.context

    def note(self, event: Event) -> None:
        """Notes on an invocation's span that a value was taken out of use."""
        running = self._running.get((event.environment_id, event.invocation))
        if running is not None:
            said = {"warmkit.resource.name": event.resource or "", "warmkit.reason": event.reason}
            now = self._clock.read().wall
            running.span.add_event("warmkit.resource.retired", said, _nanoseconds(now))


def operation_of(event: Event) -> str | None:
    """Returns what was done to a resource, if it takes time."""
    return "rebuild" if event.reason == "rebuild" else _OPERATIONS.get(event.kind)


def _about(event: Event) -> dict[str, str | float]:
    about: dict[str, str | float] = {"warmkit.environment.id": event.environment_id}
    if event.resource is not None:
        about["warmkit.resource.name"] = event.resource
    if event.gap:
        about["warmkit.gap"] = event.gap
    return about


def _leave(running: Running) -> None:
    """Puts back the context that the invocation displaced, where it is that invocation's end that is told.

    Not with `detach`: it logs an error when a coroutine is closed in another context than it ran in.
    """
    if _inside.get() is running:
        _inside.set(running.outer)
        contexts.attach(running.before)


def _mark_failed(span: Span, error: BaseException) -> None:
    """Says that it failed, and by what type of error: a text of somebody's driver may quote a password."""
    span.set_status(Status(StatusCode.ERROR))
    span.set_attribute("error.type", error_type(error))


def error_type(error: BaseException) -> str:
    """Returns the full name of what went wrong: for an error about a resource, that of its cause."""
    cause = error.__cause__ if isinstance(error, ResourceError) else None
    kind = type(cause or error)
    own = kind.__module__ == "builtins"
    return kind.__qualname__ if own else f"{kind.__module__}.{kind.__qualname__}"


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
