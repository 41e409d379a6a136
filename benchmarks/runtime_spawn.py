"""How long does a runtime take from the start of its process until it asks for the first invocation?

That is the part of a cold start that is the runtime's. The handler's module imports asyncio, as every one that has an `async def` does
sooner or later; it is the same module for both sides, but for the colour of its function. warmkit's runtime and AWS's
(awslambdaric, unmodified, in its mode for Python 3.12 and later) take turns, a fresh process each. warmkit's has two turns in each
round: what these differ by is noise. For information: the same with `@warm_handler`, and an interpreter that imports asyncio
and does nothing else but to connect.

    python -m benchmarks.runtime_spawn

Prints medians, and the ratio with its 95 % interval (bootstrap over the rounds), and writes every sample to
benchmarks/results/runtime_spawn.json. Exits with 1 if warmkit's takes longer than AWS's.
"""

import json
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROUNDS = 20
RESULTS = Path(__file__).parent / "results" / "runtime_spawn.json"
APP = """
import asyncio

async def asynchronous(event, context):
    await asyncio.sleep(0)
    return event

def plain(event, context):
    return event
"""
WARM_APP = """
import asyncio

from warmkit import warm_handler

@warm_handler
async def handler(event, context):
    await asyncio.sleep(0)
    return event
"""
BARE = """
import asyncio, os, socket
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
socket.create_connection((host, int(port))).sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\n\\r\\n")
"""
PROGRAMS = {
    "warmkit": ["-m", "warmkit.runtime", "app.asynchronous"],
    "aws": ["-m", "awslambdaric", "app.plain"],
    "warmkit again": ["-m", "warmkit.runtime", "app.asynchronous"],
    "warmkit, @warm_handler": ["-m", "warmkit.runtime", "warm_app.handler"],
    "import asyncio": ["-c", BARE],
}
NOT_PASSED_ON = {"PYTHONDONTWRITEBYTECODE", "AWS_LAMBDA_MAX_CONCURRENCY"}
NEXT = b"GET /2018-06-01/runtime/invocation/next "
REGISTERED = b"HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: 1\r\nContent-Length: 2\r\n\r\n{}"


class Sample(NamedTuple):
    """Milliseconds from the start of a process to its first `next`.

    Attributes:
        wall: On the clock.
        cpu: On a core.
    """

    wall: float
    cpu: float


def sample(program: str, root: Path) -> Sample:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        env = {
            **{name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON},
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{listener.getsockname()[1]}",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12",
            "LAMBDA_TASK_ROOT": str(root),
        }
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *PROGRAMS[program]],
            env=env,
            cwd=root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until_next(listener)
            return Sample((time.perf_counter() - begun) * 1000, cpu_of(process.pid) * 1000)
        finally:
            process.kill()
            process.wait()


def until_next(listener: socket.socket) -> None:
    """Takes the registration of an extension, if there is one, and returns when `next` is asked for."""
    kept = []
    while True:
        connection, _ = listener.accept()
        kept.append(connection)  # the extension's stays open
        asked = connection.recv(65536)
        if asked.startswith(NEXT):
            break
        assert b"/extension/register " in asked, asked
        connection.sendall(REGISTERED)
    for connection in kept:
        connection.close()


def cpu_of(process: int) -> float:
    """Returns the seconds that all of its threads have been on a core."""
    return time.clock_gettime((~process << 3) | 2)  # the clock that clock_getcpuclockid(3) names


def ratio(samples: list[Sample], base: list[Sample]) -> tuple[float, float, float]:
    """Returns the ratio of wall times, and its 95 % interval."""
    pairs = [a.wall / b.wall for a, b in zip(samples, base, strict=True)]
    chance = random.Random(1)
    drawn = sorted(statistics.median(chance.choices(pairs, k=len(pairs))) for _ in range(5000))
    return statistics.median(pairs), drawn[125], drawn[-126]


def main() -> int:
    samples: dict[str, list[Sample]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "app.py").write_text(APP)
        (root / "warm_app.py").write_text(WARM_APP)
        for name in PROGRAMS:  # once, so that everything is compiled and in the page cache
            sample(name, root)
        for round_ in range(ROUNDS):
            order = list(PROGRAMS)
            begin = round_ % len(order)
            for name in order[begin:] + order[:begin]:
                samples[name].append(sample(name, root))
    ratios = {name: ratio(samples["warmkit"], values) for name, values in samples.items()}
    print(f"from the start of a process to its first `next`, median of {ROUNDS} processes:")
    for name, values in samples.items():
        middle, low, high = ratios[name]
        limit = "   at most 1.0" if name == "aws" else ""
        wall = statistics.median(item.wall for item in values)
        cpu = statistics.median(item.cpu for item in values)
        print(
            f"  {name:23} {wall:6.1f} ms, {cpu:6.1f} ms on a core   warmkit takes"
            f" {middle:.3f} of it ({low:.3f} to {high:.3f}){limit}"
        )
    save(samples)
    return 0 if ratios["aws"][0] <= 1 else 1


def save(samples: dict[str, list[Sample]]) -> None:
    content = {
        "question": (__doc__ or "").partition("\n")[0],
        "machine": {"python": sys.version, "platform": platform.platform()},
        "rounds": ROUNDS,
        "samples_ms": {
            name: [item._asdict() for item in values] for name, values in samples.items()
        },
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    sys.exit(main())
