"""Where an invocation's trace comes from: the parent in its event, and links to the messages of a batch.

It knows headers, not spans. Loaded when somebody listens.
"""

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter

from warmkit import Call
from warmkit.resources.otel.faas import source_of
from warmkit.resources.otel.shapes import items, mapping, text

Carrier: TypeAlias = Callable[[Any, Any], Mapping[str, Any]]
"""Returns the headers in which an invocation's parent is written, of its event and context."""

MOST_LINKS = 128
"""How many links a span has at most: the SDK's own limit."""

_log = logging.getLogger("warmkit")
_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_PARENT = re.compile(r"[0-9a-f]{16}")


class _Headers(Getter[Mapping[str, list[str]]]):
    """Reads headers whose names are in lower case; HTTP's names have none."""

    def get(self, carrier: Mapping[str, list[str]], key: str) -> list[str] | None:
        """Returns the values of a header."""
        return carrier.get(key.lower())

    def keys(self, carrier: Mapping[str, list[str]]) -> list[str]:
        """Returns the names of all headers."""
        return list(carrier)


_headers = _Headers()


def parent_of(call: Call, carrier: Carrier | None) -> Context:
    """Returns the context that the event was sent in, by the configured propagator; empty: it says none.

    Never what happens to be current: that belongs to somebody else.
    """
    if carrier is None:
        return _extracted(_headers_of(call.event))
    try:
        return _extracted(_lowered(carrier(call.event, call.context)))
    except Exception:  # noqa: BLE001  the user's function; the invocation is traced without a parent
        _log.exception("the carrier %r failed", carrier)
        return Context()


def _extracted(headers: Mapping[str, list[str]]) -> Context:
    return propagate.extract(headers, Context(), _headers)


def _headers_of(event: object) -> dict[str, list[str]]:
    shape = mapping(event)
    return _lowered(shape.get("headers")) | _lowered(shape.get("multiValueHeaders"))


def _lowered(headers: object) -> dict[str, list[str]]:
    """Returns headers with names in lower case and lists of values; what is no text is left out."""
    return {
        text(name).lower(): [item for item in (items(value) or [value]) if isinstance(item, str)]
        for name, value in mapping(headers).items()
    }


# -- messages


def links_of(event: object) -> list[trace.Link]:
    """Returns links to what sent the messages of an SQS batch: they have many parents, so they have none."""
    if source_of(event) != "aws:sqs":
        return []
    found = [
        _sender(mapping(record)) for record in items(mapping(event).get("Records"))[:MOST_LINKS]
    ]
    return [trace.Link(sender) for sender in found if sender is not None and sender.is_valid]


def _sender(record: Mapping[Any, Any]) -> trace.SpanContext | None:
    """Returns the span that sent a message: by its attributes, else by what SQS was told."""
    sent = mapping(record.get("messageAttributes")).items()
    texts = {name: mapping(value).get("stringValue") for name, value in sent}
    span = trace.get_current_span(_extracted(_lowered(texts)))
    if span.get_span_context().is_valid:
        return span.get_span_context()
    return _read_xray(text(mapping(record.get("attributes")).get("AWSTraceHeader")))


def _read_xray(header: str) -> trace.SpanContext | None:
    """Reads `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`."""
    fields = {part.partition("=")[0].strip(): part.partition("=")[2] for part in header.split(";")}
    root = _ROOT.fullmatch(fields.get("Root", ""))
    parent = _PARENT.fullmatch(fields.get("Parent", ""))
    if root is None or parent is None:
        return None
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if fields.get("Sampled") == "1" else 0)
    return trace.SpanContext(int(root[1] + root[2], 16), int(parent[0], 16), True, flags)
