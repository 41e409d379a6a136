"""How long does a runtime take from the start of its process until it asks for the first invocation?

That is the part of a cold start that is the runtime's. The handler's module imports asyncio, as every one that has an `async def` does
sooner or later; it is the same module for both sides, but for the colour of its function. warmkit's runtime and AWS's
(awslambdaric, unmodified, in its mode for Python 3.12 and later) take turns, a fresh process each. For information: the same with
`@warm_handler`, and an interpreter that imports asyncio and does nothing else but to connect.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Finding, Row
from benchmarks.harness.run import Run, turns

NOT_SHOWN = "Python's own cold start from a disk that has not seen it yet: everything is compiled and in the page cache here."

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
OURS, AWS, AGAIN = "warmkit's runtime", "AWS's runtime", "warmkit's runtime, again"
WARM, NOTHING = "warmkit's runtime, @warm_handler", "import asyncio and connect"
PROGRAMS = {
    OURS: ["-m", "warmkit.runtime", "app.asynchronous"],
    AWS: ["-m", "awslambdaric", "app.plain"],
    WARM: ["-m", "warmkit.runtime", "warm_app.handler"],
    NOTHING: ["-c", BARE],
    AGAIN: ["-m", "warmkit.runtime", "app.asynchronous"],
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


def ask(run: Run) -> Answer:
    taken: dict[str, list[Sample]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "app.py").write_text(APP)
        (root / "warm_app.py").write_text(WARM_APP)
        for name in PROGRAMS:  # once, so that everything is compiled and in the page cache
            sample(name, root)
        for number in run.rounds(40, quick=4):
            for name in turns(list(PROGRAMS), number):
                taken[name].append(sample(name, root))
    wall, cpu = (
        Comparison(
            which,
            f"from the start of a process to its first `next`, {title}",
            "ms",
            [
                Row(name, [[getattr(item, which)] for item in items])
                for name, items in taken.items()
            ],
            base=OURS,
            again=AGAIN,
        )
        for which, title in (("wall", "wall time"), ("cpu", "time on a core"))
    )
    return Answer(
        [wall, cpu],
        [
            Finding(
                "wall",
                "from its start to its first `next` warmkit's runtime takes {} of the time of AWS's",
                figures.ratio(wall.row(OURS), wall.row(AWS)),
                at_most=1.0,
                closing=True,
            ),
        ],
    )


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
