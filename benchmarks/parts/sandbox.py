"""An execution environment on this machine: a process with one handler, which is frozen between its invocations.

Its clocks can be set forward, so that nobody waits for a gap of minutes. These are the clocks that Python code
asks, `time.time`, `time.monotonic` and `time.clock_gettime`, replaced before anything that asks them is imported.
asyncio's loops take their time from them, so their timers are due too. `time.perf_counter` stays as it is, and measures.

    with Sandbox("benchmarks.functions.one_query:warmkit", os.environ) as sandbox:
        sandbox.call({"n": 1})
        sandbox.freeze()
        sandbox.thaw()
        sandbox.call({"n": 1}, later=400)
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Self

from benchmarks.parts.context import Context


class Called(NamedTuple):
    """How an invocation went.

    Attributes:
        ms: How long the handler took.
        value: What it returned.
        error: What it raised; "" if it returned.
    """

    ms: float
    value: Any
    error: str


class Sandbox:
    """One environment. It begins to import its handler, and does not wait for that.

    Args:
        handler: As `module:name`.
        env: All environment variables of the process.
    """

    def __init__(self, handler: str, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.parts.sandbox", handler],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env=env,
            # A group of its own, which Ctrl-C spares. When its parent ends it is orphaned, and
            # the kernel hangs up an orphaned group that is stopped.
            process_group=0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(self, event: object, *, later: float = 0.0) -> Called:
        """Invokes the handler, after the clocks were set forward by so many seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([event, later]) + "\n")
        self._process.stdin.flush()
        return Called(*json.loads(self._told()))

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _told(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the environment's process has ended")
        return line


# -- in its process


class Clocks:
    """The clocks of this process; from now on they can be set forward."""

    def __init__(self) -> None:
        self._ahead = 0.0
        for name in ("time", "monotonic", "clock_gettime"):
            setattr(time, name, self._shifted(getattr(time, name)))

    def set_forward(self, seconds: float) -> None:
        self._ahead += seconds

    def _shifted(self, clock: Callable[..., float]) -> Callable[..., float]:
        return lambda *which: clock(*which) + self._ahead


def main() -> None:
    clocks = Clocks()
    module, name = sys.argv[1].split(":")
    handler = getattr(import_module(module), name)
    for line in sys.stdin:
        event, later = json.loads(line)
        clocks.set_forward(later)
        print(json.dumps(call(handler, event)), flush=True)


def call(handler: Callable[[Any, object], object], event: object) -> Called:
    context = Context()
    value, error = None, ""
    begun = time.perf_counter_ns()
    try:
        value = handler(event, context)
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    return Called((time.perf_counter_ns() - begun) / 1e6, value, error)


if __name__ == "__main__":
    main()
