"""The real SDK in memory, as the global one of a single test."""

from __future__ import annotations

from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Sdk:
    """Configures OpenTelemetry, which the API lets nobody do twice in a process, and reads what came."""

    def __init__(self, monkeypatch: Any) -> None:
        self._monkeypatch = monkeypatch
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.forget()

    def forget(self) -> None:
        """Nobody has configured anything."""
        self._monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
        self._monkeypatch.setattr(metrics._internal, "_METER_PROVIDER", None)

    def trace(self) -> TracerProvider:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self._monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
        return provider

    def measure(self) -> MeterProvider:
        provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self._monkeypatch.setattr(metrics._internal, "_METER_PROVIDER", provider)
        return provider

    @property
    def spans(self) -> list[Any]:
        return list(self.exporter.get_finished_spans())

    def tree(self) -> list[tuple[str, str | None]]:
        """Each span's name, and its parent's."""
        names = {span.context.span_id: span.name for span in self.spans}
        return [
            (span.name, None if span.parent is None else names.get(span.parent.span_id, "remote"))
            for span in self.spans
        ]

    def measured(self) -> dict[str, list[tuple[dict[str, Any], float]]]:
        """Each metric's points: their attributes, and the value or count."""
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: [
                (dict(point.attributes), getattr(point, "value", None) or point.count)
                for point in metric.data.data_points
            ]
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }
