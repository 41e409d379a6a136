"""How many invocations does a runtime serve in a second, when the platform and the handler cost nothing?

A Runtime API in this process answers at once; the runtime is a process of its own. warmkit's runtime with an
`async def`, and AWS's (awslambdaric, unmodified) with a `def`, in its mode for Python 3.12 and later and in that for 3.11 and
containers, take turns, a fresh process each.

    python -m benchmarks.runtime_loop

Prints the median of the microseconds for one invocation and the ratios, and writes every sample to
benchmarks/results/runtime_loop.json. Exits with 1 if warmkit's serves less than three times as many as AWS's in
its 3.12 mode, or fewer than in its 3.11 mode.
"""

import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 7
WARM_UP, COUNT = 300, 3000
RESULTS = Path(__file__).parent / "results" / "runtime_loop.json"
HANDLERS = "async def asynchronous(event, context):\n    return event\ndef plain(event, context):\n    return event\n"
RUNTIMES = {
    "warmkit": ("warmkit.runtime", "app.asynchronous", {}),
    "aws 3.12+": ("awslambdaric", "app.plain", {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.12"}),
    "aws 3.11": ("awslambdaric", "app.plain", {}),
}
EVENT = b'{"key": "value"}'
NEXT = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: %d\r\n"
    b"Lambda-Runtime-Deadline-Ms: 4000000000000\r\nLambda-Runtime-Invoked-Function-Arn: arn\r\nContent-Length: %d\r\n\r\n"
    + EVENT
)
TAKEN = b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"status":"OK"}\n'


class Platform:
    """A Runtime API that answers at once."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._received: dict[socket.socket, bytes] = {}
        self._taken = 0
        self._began = 0.0
        self._selector.register(listener, selectors.EVENT_READ)

    def time(self) -> float:
        """Serves one runtime; returns the microseconds of one invocation."""
        while self._taken < WARM_UP + COUNT:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.fileobj)  # type: ignore[arg-type]  # a socket, as all that are registered
        seconds = time.perf_counter() - self._began
        for connection in self._received:
            connection.close()
        return seconds / COUNT * 1e6

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(connection, selectors.EVENT_READ)
        self._received[connection] = b""

    def _read(self, connection: socket.socket) -> None:
        received = connection.recv(65536)
        if not received:
            self._selector.unregister(connection)
            del self._received[connection]
            connection.close()
            return
        data = self._received[connection] + received
        head, found, rest = data.partition(b"\r\n\r\n")
        length = _length_of(head)
        whole = bool(found) and len(rest) >= length
        self._received[connection] = rest[length:] if whole else data
        if whole:
            connection.sendall(self._answer(head, rest[:length]))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if b"/invocation/next" in head:
            return NEXT % (self._taken, len(EVENT))
        if b"/extension/register" in head:
            return b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
        assert b"/response" in head, head + body
        assert body == EVENT, body
        self._taken += 1
        if self._taken == WARM_UP:
            self._began = time.perf_counter()
        return TAKEN


def _length_of(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def sample(runtime: str, root: Path) -> float:
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
            return Platform(listener).time()
        finally:
            process.kill()
            process.wait()


def main() -> int:
    samples: dict[str, list[float]] = {name: [] for name in RUNTIMES}
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "app.py").write_text(HANDLERS)
        for round_ in range(ROUNDS):
            order = list(RUNTIMES)
            for name in order[round_ % 3 :] + order[: round_ % 3]:
                samples[name].append(sample(name, root))
    medians = {name: statistics.median(values) for name, values in samples.items()}
    print(f"one invocation, median of {ROUNDS} processes of {COUNT} invocations each:")
    for name, median in medians.items():
        print(f"  {name:10} {median:8.1f} us   {median / medians['warmkit']:.2f} x warmkit")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(
        json.dumps({"question": (__doc__ or "").partition("\n")[0], "samples_us": samples}) + "\n"
    )
    three_times = medians["aws 3.12+"] >= 3 * medians["warmkit"]
    return 0 if three_times and medians["aws 3.11"] >= medians["warmkit"] else 1


if __name__ == "__main__":
    sys.exit(main())
