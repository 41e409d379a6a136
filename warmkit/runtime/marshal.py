"""Events and results as bytes: strict JSON. It knows nothing of invocations."""

import json
import marshal
import math
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeGuard

from warmkit.runtime.failure import RuntimeFailureError

if TYPE_CHECKING:
    from decimal import Decimal

JSON = "application/json"
BINARY = "application/octet-stream"
_SPACE = " \t\n\r"
"""What JSON takes for space."""
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
        text = body.decode().strip(_SPACE)
        event, end = _read_quickly(text)
    except (ValueError, RecursionError):
        return _read_as_aws_does(body)
    return event if end == len(text) else _read_as_aws_does(body)


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no number in JSON")


_read_quickly = json.JSONDecoder(parse_constant=_refuse).raw_decode
"""Returns what a text begins with, and where that ends."""


def _read_as_aws_does(body: bytes) -> Any:
    """Reads what is doubtful with AWS's decoder: it accepts the same, and says the same of all else."""
    import simplejson

    try:
        return simplejson.loads(body)
    except (ValueError, RecursionError) as error:
        raise RuntimeFailureError("UnmarshalError", f"Unable to unmarshal input: {error}") from None


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


def _as_json(result: Any) -> bytes:
    try:
        marshal.dumps(result)  # it refuses all but the built-in types, and quickly
        return _write_quickly(result).encode()
    except (TypeError, ValueError, RecursionError):
        return _write_as_aws_does(result)


_write_quickly = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
"""For what every encoder writes in the same way."""


def _write_as_aws_does(result: object) -> bytes:
    """Writes what only AWS's encoder writes as AWS does: named tuples as objects, Decimals exactly, bytes in it as text."""
    import simplejson

    settings: dict[str, Any] = {"use_decimal": False, "allow_nan": False, "default": _raw_number}
    try:
        try:
            return str(simplejson.dumps(result, ensure_ascii=False, **settings)).encode()
        except UnicodeEncodeError:  # half a surrogate pair: it has no bytes, but an escape
            return str(simplejson.dumps(result, ensure_ascii=True, **settings)).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RuntimeFailureError("MarshalError", _explained(result, error)) from None


def _raw_number(value: object) -> object:
    if not _is_decimal(value):
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    if not value.is_finite():
        raise ValueError("a Decimal that is no number in JSON")
    from simplejson import RawJSON

    return RawJSON(str(value))


def _is_decimal(value: object) -> "TypeGuard[Decimal]":
    module: Any = sys.modules.get("decimal")  # whoever has a Decimal has loaded it
    return module is not None and isinstance(value, module.Decimal)


def _explained(result: object, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "Unable to marshal response: it is nested too deeply"
    place = next(_culprits(result, "response", frozenset()), None)
    if place is None:
        return f"Unable to marshal response: {error}"
    advice = "Return what JSON knows: dict, list, tuple, str, int, float, Decimal, bool, None; or bytes alone."
    return f"Unable to marshal response: {place}\n  {advice}"


def _culprits(value: Any, path: str, above: frozenset[int]) -> Iterator[str]:
    """Yields what JSON cannot say, with the way there."""
    within = above | {id(value)}
    if id(value) in above:
        yield f"{path} contains itself"
    elif (members := _members(value)) is not None:
        for key, item in members:
            if not isinstance(key, str | int | float | bytes | None):
                yield f"{path} has a key of type {type(key).__name__}"
            yield from _unreadable(key, f"a key of {path}")
            yield from _culprits(item, f"{path}[{key!r}]", within)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(_elements_of(value)):
            yield from _culprits(item, f"{path}[{number}]", within)
    else:
        yield from _unsayable(value, path)


def _unsayable(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, float) or _is_decimal(value):
        if not (math.isfinite(value) if isinstance(value, float) else value.is_finite()):
            yield f"{path} is {value}, which is no number in JSON"
    elif not isinstance(value, str | int | bytes | None):
        yield f"{path} is of type {type(value).__name__}"
    yield from _unreadable(value, path)


def _unreadable(value: object, path: str) -> Iterator[str]:
    try:
        value.decode() if isinstance(value, bytes) else None
    except UnicodeDecodeError:
        yield f"{path} is of type bytes, and no UTF-8"


def _members(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """Returns the members of what is written as an object, None for all else."""
    if isinstance(value, dict):
        return _items_of(value)
    return _items_of(value._asdict()) if hasattr(value, "_asdict") else None


def _items_of(members: Any) -> Iterable[tuple[Any, Any]]:
    items: Iterable[tuple[Any, Any]] = members.items()
    return items


def _elements_of(value: Any) -> Iterable[Any]:
    items: Iterable[Any] = value
    return items
