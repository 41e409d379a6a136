"""A failure as Lambda wants to hear of it: the caller's body, the type that the platform keeps, the X-Ray cause."""

import asyncio
import json
import os
import re
import traceback
from concurrent import futures
from types import TracebackType
from typing import NamedTuple

import warmkit

_OURS = tuple(
    os.path.dirname(module) + os.sep  # noqa: PTH120  pathlib takes 2 ms to import
    for module in (warmkit.__file__, asyncio.__file__, futures.__file__)
)
"""Whose frames say nothing of the handler: those that lead to it."""
_MAX_CAUSE = 64 * 1024
"""Bytes of the X-Ray cause that the platform keeps."""


class Failure(NamedTuple):
    """What went wrong.

    Attributes:
        kind: "Runtime.MarshalError", "Function.ValueError": the platform keeps a type of this form, and no other.
        error_type: What the caller reads as errorType.
        message: What the caller reads as errorMessage.
        frames: Where, outermost first, without the runtime's own frames.
        place: Where, if there are no frames.
    """

    kind: str
    error_type: str
    message: str
    frames: traceback.StackSummary | None = None
    place: str = ""

    def stack_trace(self) -> list[str]:
        """Returns where, as AWS's own runtime writes it."""
        if self.frames is None:
            return [self.place] if self.place else []
        return self.frames.format()

    def body(self, request_id: str = "") -> bytes:
        """Returns the body of the report, in the shape of AWS's own runtime."""
        content = {
            "errorMessage": self.message,
            "errorType": self.error_type,
            "requestId": request_id,
            "stackTrace": self.stack_trace(),
        }
        return json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace")

    def xray_cause(self) -> str:
        """Returns the cause for X-Ray, one line of JSON; "" if it is larger than the platform keeps."""
        stack = [
            {"path": frame.filename, "line": frame.lineno, "label": frame.name}
            for frame in self.frames or ()
        ]
        cause = {
            "working_directory": _working_directory(),
            "exceptions": [{"type": self.error_type, "message": self.message, "stack": stack}],
            "paths": sorted({str(frame["path"]) for frame in stack}),
        }
        text = json.dumps(cause)  # ASCII: it goes into a header
        return text if len(text) <= _MAX_CAUSE else ""


class RuntimeFailureError(Exception):
    """A failure between the platform and the handler: what came cannot be read, or what goes cannot be written.

    Args:
        kind: The type, without "Runtime.".
        message: What to say of it.
        place: Where, if that is known.
    """

    def __init__(self, kind: str, message: str, place: str = "") -> None:
        super().__init__(message)
        self.failure = Failure(f"Runtime.{kind}", f"Runtime.{kind}", message, place=place)


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  see above
    except OSError:  # the handler has removed it
        return ""


def failure_of(error: BaseException) -> Failure:
    """Returns the failure that an error of the handler, or of its module, means."""
    if isinstance(error, RuntimeFailureError):
        return error.failure
    name = type(error).__name__
    letters = re.sub(r"[^a-zA-Z]", "", name)
    kind = (
        f"Function.{letters[:1].upper()}{letters[1:]}" if len(letters) > 1 else "Function.Unknown"
    )
    return Failure(kind, name, _text_of(error), _frames_of(error.__traceback__))


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failed:  # noqa: BLE001  the handler's own, and it must be reported all the same
        return f"its text cannot be told: {type(failed).__name__}"


def _frames_of(trace: TracebackType | None) -> traceback.StackSummary:
    frames = traceback.extract_tb(trace)
    first = next((n for n, item in enumerate(frames) if not item.filename.startswith(_OURS)), 0)
    return traceback.StackSummary.from_list(
        (frame.filename, frame.lineno or 0, frame.name, frame.line)  # no columns: AWS's has none
        for frame in frames[first:]
    )
