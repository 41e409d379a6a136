"""Log lines as AWS's runtime writes them: text or JSON, on stdout or framed, with the right request id.

Source: https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
"""

import io
import json
import logging
import os
import sys
import threading
import time
import traceback
from typing import Any, cast

from warmkit.runtime import current
from warmkit.runtime.failure import Failure

_MAGIC = b"\xa5\x5a\x00"
_TEXT, _JSON = 0b11, 0b10
_LEVEL_BITS = {
    logging.DEBUG: 0b00001000,
    logging.INFO: 0b00001100,
    logging.WARNING: 0b00010000,
    logging.ERROR: 0b00010100,
    logging.CRITICAL: 0b00011000,
}
_TIME = "%Y-%m-%dT%H:%M:%S"


class Log:
    """Where lines go.

    Args:
        frames: The descriptor that takes framed messages; None: standard output.
        as_json: One JSON object a line.
        levelled: Frames tell their level.
    """

    def __init__(self, frames: int | None, *, as_json: bool, levelled: bool) -> None:
        self.as_json = as_json
        self._levelled = levelled or as_json
        self._frames = frames
        self._writing = threading.Lock()

    def write(self, text: str, level: int) -> None:
        """Writes one message in one piece: lines of concurrent invocations do not mix."""
        if self._frames is None:
            with self._writing:
                _print(text)
            return
        message = text.encode("utf-8", "backslashreplace")
        bits = _LEVEL_BITS.get(_rounded(level), 0) if self._levelled else 0
        kind = _MAGIC + bytes([bits | (_JSON if self.as_json else _TEXT)])
        moment = (time.time_ns() // 1000).to_bytes(8, "big")
        frame = kind + len(message).to_bytes(4, "big") + moment + message
        with self._writing:
            while frame:
                frame = frame[os.write(self._frames, frame) :]

    def tell(self, failure: Failure) -> None:
        """Writes that an invocation, or the init phase, failed."""
        stack = failure.stack_trace()
        if self.as_json:
            content = {
                "timestamp": _timestamp(time.time()),
                "level": "ERROR",
                "errorMessage": failure.message,
                "errorType": failure.error_type,
                "requestId": current.request_id.get(),
                "stackTrace": stack,
            }
            self.write(json.dumps(content, ensure_ascii=False), logging.ERROR)
            return
        lines = [f"[ERROR] {failure.error_type}: {failure.message}"]
        if stack:
            lines += ["Traceback (most recent call last):", *"".join(stack).splitlines()]
        if (
            self._frames is None
        ):  # one event of several lines, where nothing else keeps them together
            self.write("\r".join(_unbreakable(line) for line in lines), logging.ERROR)
        else:
            self.write("\n".join(lines), logging.ERROR)


class _Handler(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log
        self.setFormatter(_JsonFormatter() if log.as_json else _TextFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self._log.write(self.format(record), record.levelno)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record.aws_request_id = current.request_id.get()
        return super().format(record)

    def __init__(self) -> None:
        line = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
        super().__init__(line, _TIME)
        self.converter = time.gmtime


_OWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        content: dict[str, Any] = {
            "timestamp": _timestamp(record.created),
            "level": logging.getLevelName(_rounded(record.levelno)),
            "message": _message_of(record),
            "logger": record.name,
            **_error_of(record),
            "requestId": current.request_id.get(),
        }
        if current.tenant_id.get():
            content["tenantId"] = current.tenant_id.get()
        content |= {
            key: value
            for key, value in vars(record).items()
            if key not in _OWN_ATTRIBUTES and key not in content
        }
        known = {key: value for key, value in content.items() if value is not None}
        return json.dumps(known, ensure_ascii=False, default=str)


def _error_of(record: logging.LogRecord) -> dict[str, Any]:
    kind, error, trace = record.exc_info or (None, None, None)
    told = kind is not None
    return {
        "stackTrace": traceback.format_tb(trace) if told else None,
        "errorType": kind.__name__ if kind is not None else None,
        "errorMessage": str(error) if told else None,
        "location": f"{record.pathname}:{record.funcName}:{record.lineno}" if told else None,
    }


def _rounded(level: int) -> int:
    """Returns the level that the platform knows: 35 is a warning."""
    return min(logging.CRITICAL, max(logging.NOTSET, level)) // 10 * 10


def _message_of(record: logging.LogRecord) -> object:
    message: Any = record.msg
    structured = isinstance(message, dict) and not record.args
    return cast("object", message) if structured else record.getMessage()


def set_up() -> Log:
    """Makes the root logger write as the function's logging settings say; returns where it writes."""
    descriptor = os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = {"TRACE": "DEBUG", "FATAL": "CRITICAL"}.get(level, level)
    known = logging.getLevelNamesMapping()
    log = Log(
        int(descriptor) if descriptor is not None else None,
        as_json=os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON",
        levelled=level in known,
    )
    stdout: Any = sys.stdout
    if isinstance(stdout, io.TextIOWrapper):
        stdout.reconfigure(line_buffering=True)  # whole lines, at once: as a pipe it would wait
    root = logging.getLogger()
    root.addHandler(_Handler(log))
    if level in known:
        root.setLevel(level)
    return log


def flush() -> None:
    """Writes the half of a line that somebody printed: the environment may be frozen next, and never thawed."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):  # somebody closed it, or nobody reads it
        return


def _print(text: str) -> None:
    try:
        sys.stdout.write(f"{text}\n")
    except UnicodeEncodeError:  # half a surrogate pair, or a terminal without Unicode
        encoding = sys.stdout.encoding
        sys.stdout.write(f"{text.encode(encoding, 'backslashreplace').decode(encoding)}\n")
    sys.stdout.flush()


def _timestamp(seconds: float) -> str:
    return time.strftime(f"{_TIME}Z", time.gmtime(seconds))


def _unbreakable(line: str) -> str:
    text = line.lstrip(" ")
    return "\u00a0" * (len(line) - len(text)) + text
