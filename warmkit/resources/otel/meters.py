"""Turns events into measurements: those of the conventions for functions, and those of resources.

It knows what is counted, not where to. Loaded when somebody listens.
Source: https://opentelemetry.io/docs/specs/semconv/faas/faas-metrics/
"""

from opentelemetry.metrics import Counter, Meter

from warmkit import Event, EventKind
from warmkit.resources.otel.spans import error_type, operation_of

_COUNTED = {
    EventKind.REUSED: "reuses",
    EventKind.STARTED: "starts",
    EventKind.CHECKED: "checks",
    EventKind.CHECK_FAILED: "checks",
    EventKind.REFRESHED: "refreshes",
    EventKind.REFRESH_FAILED: "refreshes",
    EventKind.CLOSED: "closes",
    EventKind.CLOSE_FAILED: "closes",
}
"""As `Environment.statistics` counts them."""


class Meters:
    """Measures invocations and resources.

    Args:
        meter: Makes the instruments.
    """

    def __init__(self, meter: Meter) -> None:
        self._coldstarts = meter.create_counter(
            "faas.coldstarts", "{coldstart}", "Cold starts that somebody waited for."
        )
        self._invocations = meter.create_counter(
            "faas.invocations", "{invocation}", "Invocations that went well."
        )
        self._errors = meter.create_counter("faas.errors", "{error}", "Invocations that failed.")
        self._durations = meter.create_histogram(
            "faas.invoke_duration", "s", "How long an invocation took."
        )
        names = sorted({*_COUNTED.values(), "rebuilds", "failures"})
        self._counters: dict[str, Counter] = {
            name: meter.create_counter(f"warmkit.resource.{name}", f"{{{name[:-1]}}}")
            for name in names
        }
        self._seconds = meter.create_histogram(
            "warmkit.resource.duration", "s", "How long it took to start, check, refresh or close."
        )

    def begin(self, *, cold: bool, trigger: str) -> None:
        """Counts the beginning of an invocation."""
        if cold:
            self._coldstarts.add(1, {"faas.trigger": trigger})

    def end(self, event: Event, *, trigger: str) -> None:
        """Counts the end of an invocation."""
        labels = {"faas.trigger": trigger}
        self._durations.record(event.seconds, labels)
        if event.error is None:
            self._invocations.add(1, labels)
        else:
            self._errors.add(1, {**labels, "error.type": error_type(event.error)})

    def add(self, event: Event) -> None:
        """Counts what was done to a resource, and how long it took."""
        labels = {"warmkit.resource.name": event.resource or ""}
        counted = _COUNTED.get(event.kind)
        if counted is not None:
            self._counters[counted].add(1, labels)
        if event.reason == "rebuild":
            self._counters["rebuilds"].add(1, labels)
        operation = operation_of(event)
        if operation is None:
            return
        labels = {**labels, "warmkit.operation": operation}  # a new one: the SDK keeps the first
        self._seconds.record(event.seconds, labels)
        if event.error is not None:
            self._counters["failures"].add(1, labels)
