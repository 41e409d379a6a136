"""Frames the events of a streamed invocation: application/vnd.amazon.eventstream.

Source: https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html
"""

from __future__ import annotations

import json
import struct
from binascii import crc32

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7


def chunk(payload: bytes) -> bytes:
    """Return the event that carries a piece of the payload."""
    return _message("PayloadChunk", "application/octet-stream", payload)


def complete(error_code: str, error_details: str, log: str) -> bytes:
    """Return the event that ends the stream."""
    said = {"ErrorCode": error_code, "ErrorDetails": error_details, "LogResult": log}
    present = {name: value for name, value in said.items() if value}
    return _message("InvokeComplete", "application/json", json.dumps(present).encode())


def _message(event_type: str, content_type: str, payload: bytes) -> bytes:
    headers = (
        _header(":event-type", event_type)
        + _header(":content-type", content_type)
        + _header(":message-type", "event")
    )
    lengths = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    prelude = lengths + struct.pack("!I", crc32(lengths))
    message = prelude + headers + payload
    return message + struct.pack("!I", crc32(message))


def _header(name: str, value: str) -> bytes:
    named, said = name.encode(), value.encode()
    head = struct.pack("!B", len(named)) + named
    return head + struct.pack("!BH", _STRING, len(said)) + said
