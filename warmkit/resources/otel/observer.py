"""The observer that tells OpenTelemetry what environments do, and is absent as long as nobody configured it.

It knows whom to ask whether somebody listens; spans, measurements and flushing are its neighbours' business.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from warmkit import DefinitionError, Event, EventKind
from warmkit.clock import Clock, SystemClock
from warmkit.resources.otel.flush import Flusher

if TYPE_CHECKING:
    from warmkit.resources.otel.meters import Meters
    from warmkit.resources.otel.parents import Carrier
    from warmkit.resources.otel.spans import Spans

SCOPE = "warmkit"
"""The instrumentation scope of everything that is emitted."""

FLUSH_TIMEOUT = 0.25
"""Seconds: as long as retired values may take to close, and less than the end of an environment has in all."""


class _Signal(NamedTuple):
    """Where OpenTelemetry's API keeps what is configured.

    Attributes:
        api: The module with the public function.
        getter: That function. It asks an environment variable each time, which takes as long as all else here.
        module: The module with the variable behind it.
        kept: That variable: None as long as nothing is configured. Not public; where it is missing the function is asked.
    """

    api: str
    getter: str
    module: str
    kept: str


_TRACES = _Signal(
    "opentelemetry.trace", "get_tracer_provider", "opentelemetry.trace", "_TRACER_PROVIDER"
)
_METRICS = _Signal(
    "opentelemetry.metrics",
    "get_meter_provider",
    "opentelemetry.metrics._internal",
    "_METER_PROVIDER",
)


def otel_observer(
    *,
    flush_timeout: float | None = FLUSH_TIMEOUT,
    carrier: "Carrier | None" = None,
    clock: Clock | None = None,
) -> "OtelObserver":
    """Returns an observer that makes OpenTelemetry spans and metrics of what environments do.

    It goes by what is configured globally (`set_tracer_provider`, `set_meter_provider`, `OTEL_PROPAGATORS`), and
    is absent until something is: then nothing is imported, and no event is made. Make one, and give it to all handlers.

    ```python
    tracing = otel_observer()

    @warm_handler(db=postgres_pool(), observers=[tracing])
    async def handler(event, context, db):
        ...
    ```

    Args:
        flush_timeout: Seconds that an invocation waits at most, when it is over, for its spans to be sent: before the
            environment may be frozen. They are on the caller's clock. 0 sends and does not wait; None leaves sending
            to the SDK, for hosts that never freeze.
        carrier: Called with the event and the context; returns the headers in which the caller's span is
            written. Default: the headers of the event.
        clock: Where the time comes from; for tests.

    Raises:
        DefinitionError: An argument can never work.
    """
    _refuse_wrong(flush_timeout, carrier, clock)
    clock = clock or SystemClock()
    observer = (
        OtelObserver(carrier, clock)
        if flush_timeout is None
        else FlushingObserver(carrier, clock, flush_timeout)
    )
    observer.prepare()
    return observer


class OtelObserver:
    """Tells OpenTelemetry what environments do. Made with `otel_observer`.

    Safe for any number of environments, also in threads of their own, and for forked processes.
    """

    _spans: "Spans | None" = None
    _meters: "Meters | None" = None

    def __init__(self, carrier: "Carrier | None", clock: Clock) -> None:
        self._carrier = carrier
        self._clock = clock
        self._made = clock.read()

    def listens(self) -> bool:
        """Whether a tracer or meter provider is configured."""
        if self._spans is not None or _provider(_TRACES) is not None:
            return True
        return _provider(_METRICS) is not None

    def prepare(self) -> None:
        """Loads what is needed, if an SDK is configured by now: in the init phase, when nobody waits yet."""
        with suppress(Exception):  # the first event says what is wrong, and fails nothing
            if self.listens():
                self._connect()

    def __call__(self, event: Event) -> None:
        """Tells of one event."""
        spans = self._spans
        if spans is None:
            if not self.listens():
                return
            spans = self._connect()
        if event.kind is EventKind.INVOCATION_STARTED:
            self._begin(event, spans)
        elif event.kind is EventKind.INVOCATION_FINISHED:
            self._end(event, spans)
        elif event.kind is EventKind.RETIRED:
            spans.note(event)
        else:
            self._add(event, spans)

    def _begin(self, event: Event, spans: "Spans") -> None:
        if self._meters is None and _provider(_METRICS) is not None:
            self._measure()
        running = spans.begin(event)
        if self._meters is not None:
            self._meters.begin(cold=running.cold, trigger=running.trigger)

    def _end(self, event: Event, spans: "Spans") -> None:
        running = spans.end(event)
        if running is not None and self._meters is not None:
            self._meters.end(event, trigger=running.trigger)

    def _add(self, event: Event, spans: "Spans") -> None:
        spans.add(event)
        if self._meters is not None:
            self._meters.add(event)

    # -- the other side

    def _connect(self) -> "Spans":
        from opentelemetry import trace

        from warmkit.resources.otel.spans import Spans

        made = Spans(trace.get_tracer(SCOPE), self._clock, self._made, self._carrier)
        # at once: environments may come side by side, in threads of their own
        spans: Spans = vars(self).setdefault("_spans", made)
        return spans

    def _measure(self) -> None:
        from opentelemetry import metrics

        from warmkit.resources.otel.meters import Meters

        vars(self).setdefault("_meters", Meters(metrics.get_meter(SCOPE)))


class FlushingObserver(OtelObserver):
    """One that has everything sent before a freeze.

    Args:
        carrier: As for every one.
        clock: As for every one.
        flush_timeout: Seconds that an invocation waits for it at most.
    """

    def __init__(self, carrier: "Carrier | None", clock: Clock, flush_timeout: float) -> None:
        super().__init__(carrier, clock)
        self._flusher = Flusher(flush_timeout, _senders)

    async def settle(self) -> None:
        """Has everything sent, and waits for it no longer than the budget."""
        if self._spans is not None:
            await self._flusher.flush()


def _providers() -> list[object]:
    """Returns the providers that somebody configured. Imports nothing: who configures one has imported it."""
    return [provider for provider in map(_provider, (_TRACES, _METRICS)) if provider is not None]


def _senders() -> list[Callable[[], object]]:
    """Returns what has each provider send what it keeps, traces first."""
    asked: list[Any] = [getattr(provider, "force_flush", None) for provider in _providers()]
    return [flush for flush in asked if callable(flush)]


def _provider(signal: _Signal) -> object | None:
    """Returns a global provider; None for the API's own, which stands for none."""
    module = sys.modules.get(signal.module)
    if module is None or getattr(module, signal.kept, signal) is None:
        return None
    get: Any = getattr(sys.modules.get(signal.api), signal.getter, None)
    if get is None:  # half imported, by another thread
        return None
    provider: object = get()
    return None if type(provider).__module__.startswith(signal.api) else provider


def _refuse_wrong(flush_timeout: Any, carrier: object, clock: object) -> None:
    number = isinstance(flush_timeout, int | float) and not isinstance(flush_timeout, bool)
    if flush_timeout is not None and not (number and 0 <= flush_timeout < float("inf")):
        raise DefinitionError(
            f"flush_timeout must be a number of seconds, 0 or more, or None, not {flush_timeout!r}"
        )
    if carrier is not None and not callable(carrier):
        raise DefinitionError(
            f"carrier must be a function of the event and the context, not {type(carrier).__name__}.\n"
            '  Write: carrier=lambda event, context: event["headers"]'
        )
    if clock is not None and not callable(getattr(clock, "read", None)):
        raise DefinitionError(f"clock must have a method read, and {type(clock).__name__} has none")
