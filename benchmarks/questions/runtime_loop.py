"""How many invocations does a runtime serve in a second, when the platform and the handler cost nothing?

The Runtime API is a loop in this process: a canned answer is sent as soon as the last byte of a request is there, and the request is
looked at afterwards. The runtime is a process of its own, on the same processor core: one waits while the other works, as on a function of
one vCPU, and so no other core has to be woken for each message (in a virtual machine that takes longer than the message). warmkit's
runtime with an `async def`, and AWS's (awslambdaric, unmodified) with a `def`, in its mode for Python 3.12 and later and in that for 3.11 and containers,
take turns, a fresh process each.

A sample of the wall time is of 20 invocations; beside it stands the time that the process was on a core. On a machine that does other things
meanwhile, `chrt -r 1` before the command keeps these off the core. Linux only.
"""

import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Finding, Row
from benchmarks.harness.run import Run, turns

NOT_SHOWN = "What a handler does, and the network between Lambda's runtime interface and the process, which is short: the share of the loop in an invocation of 20 ms is next to nothing."

WARM_UP, PIECES, PIECE = 300, 100, 20
COUNT = PIECES * PIECE
SILENCE = 60_000
"""Milliseconds after which a runtime is taken for lost."""
OURS, AGAIN = "warmkit's runtime", "warmkit's runtime, again"
NEW, OLD = "AWS's runtime, 3.12+", "AWS's runtime, 3.11"
HANDLERS = "async def asynchronous(event, context):\n    return event\ndef plain(event, context):\n    return event\n"
RUNTIMES = {
    OURS: ("warmkit.runtime", "app.asynchronous", {}),
    NEW: ("awslambdaric", "app.plain", {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.12"}),
    OLD: ("awslambdaric", "app.plain", {}),
    AGAIN: ("warmkit.runtime", "app.asynchronous", {}),
}
EVENT = b'{"key": "value"}'
ID = "8476a536-e9f4-11e8-9739-%012d"
NEXT = f"""HTTP/1.1 200 OK
Content-Type: application/json
Lambda-Runtime-Aws-Request-Id: {ID}
Lambda-Runtime-Deadline-Ms: 4000000000000
Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:123456789012:function:orders
Lambda-Runtime-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1
Date: Fri, 27 Nov 2026 12:00:00 GMT
Content-Length: {len(EVENT)}

""".replace("\n", "\r\n")
EVENTS = [(NEXT % number).encode() + EVENT for number in range(WARM_UP + COUNT)]
POSTS = [
    f"POST /2018-06-01/runtime/invocation/{ID % number}/response HTTP/1.1\r\n".encode()
    for number in range(WARM_UP + COUNT)
]
GET = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n"
TAKEN = (
    b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nDate: Fri, 27 Nov 2026 12:00:00 GMT\r\n"
    b'Content-Length: 16\r\n\r\n{"status":"OK"}\n'
)
NO_EXTENSION = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Sample(NamedTuple):
    """One process: microseconds for one invocation.

    Attributes:
        wall: Of each piece.
        cpu: On a core, of all.
    """

    wall: list[float]
    cpu: float


def ask(run: Run) -> Answer:
    taken: dict[str, list[Sample]] = {name: [] for name in RUNTIMES}
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "app.py").write_text(HANDLERS)
        for number in run.rounds(15, quick=3):
            for name in turns(list(RUNTIMES), number):
                taken[name].append(sample(name, root))
    wall, cpu = (
        Comparison(name, title, "us", rows, base=OURS, again=AGAIN)
        for name, title, rows in (
            (
                "wall",
                "one invocation",
                [Row(k, [item.wall for item in v]) for k, v in taken.items()],
            ),
            (
                "cpu",
                "one invocation, time on a core",
                [Row(k, [[item.cpu] for item in v]) for k, v in taken.items()],
            ),
        )
    )
    ours = wall.row(OURS)
    return Answer(
        [wall, cpu],
        [
            Finding(
                "new",
                "warmkit's runtime serves {} times as many invocations in a second as AWS's in its 3.12+ mode",
                figures.ratio(wall.row(NEW), ours),
                at_least=3,
                closing=True,
            ),
            Finding(
                "old",
                "{} times as many as AWS's in its mode for 3.11 and containers",
                figures.ratio(wall.row(OLD), ours),
                at_least=1,
            ),
        ],
    )


class Platform:
    """A Runtime API that answers at once, and looks afterwards at what it was asked. For one runtime.

    Args:
        listener: Where the runtime connects.
        cpu: Says how many seconds the runtime has been on a core.
    """

    def __init__(self, listener: socket.socket, cpu: Callable[[], float]) -> None:
        self._listener = listener
        self._cpu = cpu
        self._connections: dict[int, socket.socket] = {}
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)

    def measure(self) -> Sample:
        """Serves; returns what one invocation took."""
        self._serve(0, WARM_UP)
        cpu, moments = self._cpu(), [time.perf_counter()]
        for number in range(WARM_UP, WARM_UP + COUNT, PIECE):
            self._serve(number, number + PIECE)
            moments.append(time.perf_counter())
        cpu = self._cpu() - cpu
        for connection in self._connections.values():
            connection.close()
        return Sample([(b - a) / PIECE * 1e6 for a, b in pairwise(moments)], cpu / COUNT * 1e6)

    def _serve(self, first: int, end: int) -> None:
        for number in range(first, end):
            self._exchange(GET, b"\r\n\r\n", EVENTS[number])
            self._exchange(POSTS[number], EVENT, TAKEN)

    def _exchange(self, begin: bytes, end: bytes, answer: bytes) -> None:
        data = b""
        while not data.endswith(end):
            events = self._poll.poll(SILENCE)
            assert events, "the runtime says nothing"
            connection = self._connections.get(events[0][0])
            if connection is None:
                self._accept()
            else:
                data += connection.recv(4096)
                if not data or b"/extension/" in data:
                    data = self._refuse(connection)
        assert connection is not None
        connection.send(answer)
        assert data.startswith(begin), data

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[connection.fileno()] = connection
        self._poll.register(connection, select.POLLIN)

    def _refuse(self, connection: socket.socket) -> bytes:
        """There are no extensions here: the way that most functions go has no second connection."""
        self._poll.unregister(connection)
        del self._connections[connection.fileno()]
        connection.sendall(NO_EXTENSION)
        connection.close()
        return b""


def sample(runtime: str, root: Path) -> Sample:
    module, handler, variables = RUNTIMES[runtime]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | {
            "AWS_LAMBDA_RUNTIME_API": address,
            "LAMBDA_TASK_ROOT": str(root),
            **variables,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", module, handler],
            env=env,
            cwd=root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return Platform(listener, lambda: cpu_of(process.pid)).measure()
        finally:
            process.kill()
            process.wait()


def cpu_of(process: int) -> float:
    """Returns the seconds that all of its threads, those that ended included, have been on a core."""
    return time.clock_gettime((~process << 3) | 2)  # the clock that clock_getcpuclockid(3) names
