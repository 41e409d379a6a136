"""A Lambda for one environment: the Runtime API, the Extensions API, and the documented sequence of the end.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html; the runtime's share of the two
seconds that are granted where there is an external extension is what AWS's own examples say.
"""

import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

PATIENCE = 60.0  # seconds: only a hang takes that long
TASK = Path(__file__).parent / "task"


class End(NamedTuple):
    """How it ended.

    Attributes:
        status: The exit status of the runtime's process; negative: the signal.
        ms: From the signal to the exit.
        began: When the signal was sent, on the monotonic clock.
    """

    status: int
    ms: float
    began: float


class _Api(BaseHTTPRequestHandler):
    """The two APIs, for the one environment of its server."""

    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        lambda_ = self.server.platform
        if self.path.endswith("/event/next"):
            self._event(lambda_, self.headers["Lambda-Extension-Identifier"])
        else:
            event = lambda_.next_event()
            self._answer(
                200,
                json.dumps(event),
                **{
                    "Lambda-Runtime-Aws-Request-Id": f"id-{time.monotonic_ns()}",
                    "Lambda-Runtime-Deadline-Ms": "4000000000000",
                },
            )

    def _event(self, lambda_: "Platform", identifier: str) -> None:
        lambda_.extensions_asked.release()
        lambda_.over.wait()
        if identifier.startswith("external"):
            self._answer(200, json.dumps({"eventType": "SHUTDOWN", "shutdownReason": "spindown"}))
        self.close_connection = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.path.endswith("/register"):
            self._register(self.server.platform, self.headers["Lambda-Extension-Name"])
            return
        self.server.platform.posted.put((self.path.rpartition("/")[2], body))
        self._answer(202, "{}")

    def _register(self, lambda_: "Platform", name: str) -> None:
        kind = "external" if name == lambda_.external else "internal"
        refusal = lambda_.refusal(name)
        if refusal:
            self._answer(403, json.dumps({"errorType": refusal}))
            return
        lambda_.registered[name] = kind
        self._answer(200, "{}", **{"Lambda-Extension-Identifier": f"{kind}-{name}"})

    def _answer(self, status: int, text: str, **headers: str) -> None:
        body = text.encode()
        self.send_response(status)
        for key, value in (headers | {"Content-Type": "application/json"}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, platform: "Platform") -> None:
        super().__init__(("127.0.0.1", 0), _Api)
        self.platform = platform

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # processes are killed here


class Platform:
    """One environment, from its start to its end.

    Args:
        runtime: The module that serves the function.
        handler: "module.function".
        env: The function's variables.
        external: Whether an external extension is there, too.
        patience: How many times as long as Lambda it waits for the runtime, on a machine that is busy.
        task_root: The folder with the function's module.

    Attributes:
        posted: What was answered.
        registered: The extensions by name.
        refuses: Why it registers none, if it does not.
    """

    def __init__(
        self,
        runtime: str,
        handler: str,
        env: Mapping[str, str],
        *,
        external: bool = False,
        patience: float = 1.0,
        task_root: Path = TASK,
    ) -> None:
        self._at_once = int(env.get("AWS_LAMBDA_MAX_CONCURRENCY", "1"))
        self._asked, self._asking = 0, threading.Condition()
        self._serving = threading.Semaphore(0)
        self.extensions_asked = threading.Semaphore(0)
        self._events: queue.Queue[Any] = queue.Queue()
        self.posted: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.registered: dict[str, str] = {}
        self.registration_is_open = True
        self.refuses = ""
        self.over = threading.Event()
        self.external = "observer" if external else ""
        self.output: list[str] = []
        self._said = threading.Condition()
        self._patience = patience
        self._task_root = task_root
        self._server = _Server(self)
        address = "{}:{}".format(*self._server.server_address)
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self._env = own | {"AWS_LAMBDA_RUNTIME_API": address, "LAMBDA_TASK_ROOT": str(task_root)}
        self._env |= {"PYTHONPATH": os.pathsep.join([str(TASK.parents[3]), *sys.path[1:]]), **env}
        self._command = [sys.executable, "-m", runtime, handler]
        self._extension: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        if self.external:
            program = str(TASK / f"{self.external}.py")
            self._extension = subprocess.Popen(
                [sys.executable, "-I", "-S", program],
                env=self._env,
                stdout=subprocess.DEVNULL,
            )
            _wait(self.extensions_asked)
        self.process = subprocess.Popen(
            self._command,
            env=self._env,
            cwd=self._task_root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.over.set()
        _signal_group(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self._extension is not None:
            self._extension.kill()
            self._extension.wait()
        self._server.shutdown()
        self._server.server_close()

    def refusal(self, name: str) -> str:
        """Returns why an extension cannot be registered, or nothing."""
        if self.refuses and name != self.external:
            return self.refuses
        if name in self.registered:
            return "Extension.InvalidExtensionState"
        return "" if self.registration_is_open else "Extension.RegistrationClosed"

    def next_event(self) -> Any:
        """Waits for an invocation, in a thread of the server."""
        self.registration_is_open = False
        self._count_asked(1)
        event = self._events.get()
        self._count_asked(-1)
        self._serving.release()
        return event

    def _count_asked(self, change: int) -> None:
        with self._asking:
            self._asked += change
            self._asking.notify_all()

    # -- what happens

    def invoke(self, event: object, *, times: int = 1) -> None:
        """Hands out invocations, and waits until so many are being served."""
        for _ in range(times):
            self._events.put(event)
        for _ in range(times):
            _wait(self._serving)

    def answered(self, *, times: int = 1) -> list[tuple[str, bytes]]:
        """Waits until so many have been answered."""
        return [self.posted.get(timeout=PATIENCE) for _ in range(times)]

    def is_idle(self) -> None:
        """Waits until it has asked for as many invocations as it can serve, and has none."""
        with self._asking:
            if not self._asking.wait_for(lambda: self._asked == self._at_once, PATIENCE):
                raise TimeoutError(f"it never got idle: {self.output}")

    def says(self, word: str, *, times: int = 1) -> None:
        """Waits until the function has said a word so often."""
        with self._said:
            if not self._said.wait_for(lambda: self._count(word) >= times, PATIENCE):
                raise TimeoutError(f"it never said {word!r}: {self.output}")

    def _count(self, word: str) -> int:
        return sum(f"{line} ".startswith(f"{word} ") for line in self.output)

    def said(self, words: str) -> list[float]:
        """Returns when it said them, on the monotonic clock."""
        return [
            float(line.rpartition(" ")[2]) for line in self.output if line.startswith(f"{words} ")
        ]

    def freeze(self) -> None:
        """Stops it, as Lambda does between invocations."""
        _signal_group(self.process.pid, signal.SIGSTOP)

    # -- the end

    def signal(self, number: int) -> None:
        """Sends a signal, as Lambda does: to the runtime's process group."""
        _signal_group(self.process.pid, number)

    def reads_to_the_end(self) -> None:
        """Reads on until the last process that can say something is gone."""
        self._reading.join(PATIENCE)

    def exit(self) -> End:
        """Waits for it to exit by itself."""
        began = time.monotonic()
        _exits_within(self.process.pid, PATIENCE)
        self.reads_to_the_end()
        return End(self.process.wait(1), (time.monotonic() - began) * 1000, began)

    def end(self, *, thaw: bool = False) -> End:
        """Ends it as Lambda does: announced if an extension is registered, and not otherwise."""
        if not self.registered:
            return self.kill()
        pid, share = self.process.pid, 0.3 if self.external else 0.5
        began = time.monotonic()
        _signal_group(pid, signal.SIGTERM)
        if thaw:
            _signal_group(pid, signal.SIGCONT)
        ends = _exits_within(pid, share * self._patience)
        ms = (time.monotonic() - began) * 1000
        if not ends:
            _signal_group(pid, signal.SIGKILL)
        self.reads_to_the_end()
        end = End(self.process.wait(), ms, began)
        self.over.set()  # the extensions' turn
        if self._extension is not None:
            self._extension.wait(2 * self._patience)
        return end

    def kill(self) -> End:
        """Ends it without a warning."""
        began = time.monotonic()
        _signal_group(self.process.pid, signal.SIGKILL)
        _exits_within(self.process.pid, PATIENCE)
        return End(self.process.wait(), (time.monotonic() - began) * 1000, began)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._said:
                self.output.append(line.rstrip("\n"))
                self._said.notify_all()
        self.process.stdout.close()


def _wait(semaphore: threading.Semaphore) -> None:
    if not semaphore.acquire(timeout=PATIENCE):
        raise TimeoutError("what was waited for did not happen")


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def _exits_within(pid: int, seconds: float) -> bool:
    """Waits for a child to exit, to the millisecond; it is not reaped."""
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(descriptor)
