"""Events and results as bytes: strict JSON. It knows nothing of invocations."""

import json
import math
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from warmkit.runtime.failure import RuntimeFailureError

JSON = "application/json"
BINARY = "application/octet-stream"
MAX_RESPONSE = 6 * 1024 * 1024 + 100
"""Bytes. Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (6 MB, and an envelope)"""


def read_event(body: bytes, content_type: str) -> Any:
    """Returns the event: what the JSON says, or the bytes as they are where it is no JSON.

    Raises:
        RuntimeFailureError: It is said to be JSON, and is not.
    """
    if content_type != JSON and content_type.partition(";")[0].strip().lower() not in ("", JSON):
        return body
    try:
        return _from_json(body)
    except (ValueError, RecursionError) as error:
        raise RuntimeFailureError("UnmarshalError", f"Unable to unmarshal input: {error}") from None


def _from_json(body: bytes) -> Any:
    try:
        return json.loads(body.decode())
    except (
        ValueError
    ):  # UTF-16, a byte order mark, half a surrogate pair: what JSON may be, and never is
        return json.loads(body)


def write_result(result: Any) -> tuple[bytes, str]:
    """Returns the body and its content type: bytes as they are, all else as JSON; `Decimal` as a number.

    Raises:
        RuntimeFailureError: It cannot be written, or is larger than Lambda takes.
    """
    if isinstance(result, bytes | bytearray):
        body, content_type = bytes(result), BINARY
    else:
        body, content_type = _as_json(result), JSON
    if len(body) > MAX_RESPONSE:
        raise RuntimeFailureError(
            "ResponseSizeTooLarge",
            f"the response has {len(body)} bytes, and Lambda takes {MAX_RESPONSE}.\n"
            "  Put it into S3 and return its address, or stream it.",
        )
    return body, content_type


def _as_json(result: object) -> bytes:
    try:
        try:
            return _dumped(result, ensure_ascii=False).encode()
        except UnicodeEncodeError:  # half a surrogate pair: it has no bytes, but an escape
            return _dumped(result, ensure_ascii=True).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RuntimeFailureError("MarshalError", _explained(result, error)) from None


def _dumped(result: object, *, ensure_ascii: bool) -> str:
    try:
        return (_ascii if ensure_ascii else _unicode)(result)
    except _NumberFoundError:
        return _with_decimals(result, ensure_ascii=ensure_ascii)


def _with_decimals(result: object, *, ensure_ascii: bool) -> str:
    """Writes numbers exactly, and all else as the standard library does, which can only round a Decimal."""
    import simplejson

    if next(_culprits(result, "response", frozenset()), None) is not None:
        raise ValueError("it holds what is no JSON")  # which simplejson would write in its own way
    text = simplejson.dumps(
        result,
        ensure_ascii=ensure_ascii,
        allow_nan=False,
        use_decimal=True,
        namedtuple_as_object=False,
        encoding=None,
    )
    return str(text)


class _NumberFoundError(Exception):
    """There is a Decimal in it."""


def _refuse_to_guess(value: object) -> object:
    if _is_decimal(value):
        raise _NumberFoundError
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


_unicode, _ascii = [
    json.JSONEncoder(ensure_ascii=ascii_, allow_nan=False, default=_refuse_to_guess).encode
    for ascii_ in (False, True)
]


def _is_decimal(value: object) -> bool:
    module: Any = sys.modules.get("decimal")  # whoever has a Decimal has loaded it
    return module is not None and isinstance(value, module.Decimal)


def _explained(result: object, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "Unable to marshal response: it is nested too deeply"
    place = next(_culprits(result, "response", frozenset()), None)
    if place is None:
        return f"Unable to marshal response: {error}"
    advice = "Return what JSON knows: dict with str keys, list, str, int, float, bool, None; or bytes alone."
    return f"Unable to marshal response: {place}\n  {advice}"


def _culprits(value: Any, path: str, above: frozenset[int]) -> Iterator[str]:
    """Yields what JSON cannot say, with the way there."""
    within = above | {id(value)}
    if id(value) in above:
        yield f"{path} contains itself"
    elif isinstance(value, dict):
        for key, item in _entries(value):
            shown = repr(key) if isinstance(key, str | int | float | None) else None
            if shown is None:
                yield f"{path} has a key of type {type(key).__name__}"
            yield from _culprits(item, f"{path}[{shown}]", within)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(_items(value)):
            yield from _culprits(item, f"{path}[{number}]", within)
    elif isinstance(value, float) or _is_decimal(value):
        if not (math.isfinite(value) if isinstance(value, float) else value.is_finite()):
            yield f"{path} is {value}, which is no number in JSON"
    elif not isinstance(value, str | int | None):
        yield f"{path} is of type {type(value).__name__}"


def _entries(value: Any) -> Iterable[tuple[Any, Any]]:
    entries: Iterable[tuple[Any, Any]] = value.items()
    return entries


def _items(value: Any) -> Iterable[Any]:
    items: Iterable[Any] = value
    return items
