"""What Lambda writes into the log about an invocation and an init phase."""

from __future__ import annotations

import math
from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The facts of one invocation, when it is over.

    Attributes:
        request_id: Which one.
        environment: Which environment served it.
        duration_ms: From the moment the runtime was given it until it asked for more. An init
            phase that was repeated for it is part of that.
        init_ms: Of the environment's init phase, if this is its first invocation; else None.
        memory_mb: What the function is configured to have.
        peak_mb: What the environment held at most so far.
        status: "success", "error" or "timeout".
        error_type: What the platform keeps of an error; "" if there is none.
    """

    request_id: str
    environment: str
    duration_ms: float
    init_ms: float | None
    memory_mb: int
    peak_mb: int
    status: str = "success"
    error_type: str = ""

    @property
    def billed_ms(self) -> int:
        """Whole milliseconds, of the init phase too."""
        return max(1, math.ceil(self.duration_ms + (self.init_ms or 0)))

    def __str__(self) -> str:
        """The line as Lambda writes it."""
        parts = [
            f"REPORT RequestId: {self.request_id}",
            f"Duration: {self.duration_ms:.2f} ms",
            f"Billed Duration: {self.billed_ms} ms",
            f"Memory Size: {self.memory_mb} MB",
            f"Max Memory Used: {self.peak_mb} MB",
        ]
        if self.init_ms is not None:
            parts.append(f"Init Duration: {self.init_ms:.2f} ms")
        if self.status != "success":
            parts.append(f"Status: {self.status}")
        if self.error_type:
            parts.append(f"Error Type: {self.error_type}")
        return "\t".join(parts) + "\t"


def init_report(milliseconds: float, *, status: str, error_type: str = "") -> str:
    """Return the line about an init phase that failed."""
    line = f"INIT_REPORT Init Duration: {milliseconds:.2f} ms\tPhase: init\tStatus: {status}"
    return f"{line}\tError Type: {error_type}" if error_type else line


def megabytes(size: int) -> int:
    """Return bytes as whole MB."""
    return math.ceil(size / _MIB)
