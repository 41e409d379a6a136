"""How many invocations does a runtime serve in a second, when the platform and the handler cost nothing?

The Runtime API is a loop in this process: a canned answer is sent as soon as the last byte of a request is there, and the request is
looked at afterwards. The runtime is a process of its own, on the same processor core: one waits while the other works, as on a function of
one vCPU, and so no other core has to be woken for each message (in a virtual machine that takes longer than the message). warmkit's
runtime with an `async def`, and AWS's (awslambdaric, unmodified) with a `def`, in its mode for Python 3.12 and later and in that for 3.11 and containers,
take turns, a fresh process each. warmkit's has two turns in each round: what these differ by is noise.

    python -m benchmarks.runtime_loop

On a machine that does other things meanwhile, `chrt -r 1` before it keeps these off the core.

Prints, for one invocation, the wall time (the median of the processes, and for each process the median of pieces of 20 invocations) and the
time that the process was on a core, and the ratios of both to warmkit's, with the 95 % interval of each ratio of wall times
(bootstrap over the rounds), and writes every sample to
benchmarks/results/runtime_loop.json. Exits with 1 if warmkit's serves less than three times as many as AWS's in its 3.12 mode, or
fewer than in its 3.11 mode. Linux only.
"""

import json
import os
import platform
import random
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROUNDS = 15
WARM_UP, PIECES, PIECE = 300, 100, 20
COUNT = PIECES * PIECE
SILENCE = 60_000
"""Milliseconds after which a runtime is taken for lost."""
RESULTS = Path(__file__).parent / "results" / "runtime_loop.json"
HANDLERS = "async def asynchronous(event, context):\n    return event\ndef plain(event, context):\n    return event\n"
RUNTIMES = {
    "warmkit": ("warmkit.runtime", "app.asynchronous", {}),
    "aws 3.12+": ("awslambdaric", "app.plain", {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.12"}),
    "aws 3.11": ("awslambdaric", "app.plain", {}),
    "warmkit again": ("warmkit.runtime", "app.asynchronous", {}),
}
AT_LEAST = {"aws 3.12+": 3.0, "aws 3.11": 1.0}
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

    @property
    def median(self) -> float:
        """Of the pieces: what another process on this machine does to some of them changes nothing."""
        return statistics.median(self.wall)


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


def ratio(samples: list[Sample], base: list[Sample]) -> tuple[float, float, float]:
    """Returns the ratio of wall times, and its 95 % interval."""
    pairs = [a.median / b.median for a, b in zip(samples, base, strict=True)]
    chance = random.Random(1)
    drawn = sorted(statistics.median(chance.choices(pairs, k=len(pairs))) for _ in range(5000))
    return statistics.median(pairs), drawn[125], drawn[-126]


def main() -> int:
    samples: dict[str, list[Sample]] = {name: [] for name in RUNTIMES}
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "app.py").write_text(HANDLERS)
        for round_ in range(ROUNDS):
            order = list(RUNTIMES)
            begin = round_ % len(order)
            for name in order[begin:] + order[:begin]:
                samples[name].append(sample(name, root))
    ratios = {name: ratio(values, samples["warmkit"]) for name, values in samples.items()}
    report(samples, ratios)
    save(samples)
    return 0 if all(ratios[name][0] >= least for name, least in AT_LEAST.items()) else 1


def report(samples: dict[str, list[Sample]], ratios: dict[str, tuple[float, float, float]]) -> None:
    print(f"one invocation, median of {ROUNDS} processes of {COUNT} invocations each:")
    print("                  wall us   x warmkit  (95 %)           on a core us   x warmkit")
    ours = statistics.median(item.cpu for item in samples["warmkit"])
    for name, values in samples.items():
        wall = statistics.median(item.median for item in values)
        cpu = statistics.median(item.cpu for item in values)
        middle, low, high = ratios[name]
        needed = f"   at least {AT_LEAST[name]} in wall time" if name in AT_LEAST else ""
        print(
            f"  {name:13} {wall:9.1f}   {middle:9.2f}  ({low:.2f} to {high:.2f})"
            f"   {cpu:12.1f}   {cpu / ours:9.2f}{needed}"
        )


def save(samples: dict[str, list[Sample]]) -> None:
    content = {
        "question": (__doc__ or "").partition("\n")[0],
        "machine": {"python": sys.version, "platform": platform.platform()},
        "rounds": ROUNDS,
        "invocations": COUNT,
        "samples_us": {
            name: [item._asdict() for item in values] for name, values in samples.items()
        },
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    sys.exit(main())
