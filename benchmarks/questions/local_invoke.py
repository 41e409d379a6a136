"""What does an invocation in the local Lambda cost, against AWS's emulator?

The same function under AWS's runtime (awslambdaric, unmodified) in three places: AWS's emulator, `warmkit serve`, and `warmkit serve
--no-freeze`. They take turns, in blocks of invocations one right after the other over one connection; in each round all are started
anew. It needs the tests' download of the emulator.
"""

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Finding, Row
from benchmarks.harness.run import Run, turns
from benchmarks.parts.lambdas import INVOKE, PYTHONPATH, Emulator

NOT_SHOWN = "An invocation on AWS Lambda: both are programs on this machine."

BLOCK, TURNS, WARM_UP = 50, 4, 200
COMMAND = [sys.executable, "-c", "from warmkit.local.cli import main; main()", "serve"]
EMULATOR, SERVE, UNFROZEN = "AWS's emulator", "warmkit serve", "warmkit serve, no freezing"
AGAIN = "AWS's emulator, again"
EVENT = json.dumps({"key": "value"})


class Place:
    """Somewhere the function is served."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def invoke(self) -> float:
        """Returns the microseconds of one invocation."""
        begun = time.perf_counter()
        self._connection.request("POST", INVOKE, EVENT)
        body = self._connection.getresponse().read()
        taken = time.perf_counter() - begun
        assert json.loads(body) == {"key": "value"}, body
        return taken * 1e6

    def block(self) -> list[float]:
        return [self.invoke() for _ in range(BLOCK)]

    def close(self) -> None:
        self._connection.close()


@contextlib.contextmanager
def emulated(root: Path) -> Iterator[Place]:
    with (
        Emulator("app.handler", task_root=root) as emulator,
        contextlib.closing(Place(emulator.connect())) as place,
    ):
        yield place


@contextlib.contextmanager
def served(root: Path, options: Sequence[str] = ()) -> Iterator[Place]:
    process = subprocess.Popen(
        [*COMMAND, "app.handler", "--runtime", "aws", "--port", "0", *options],
        cwd=root,
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    port = re.search(r"http://127.0.0.1:(\d+)", process.stdout.readline())
    assert port is not None
    process.stdout.readline()
    # Both print to nobody: the emulator's log is a file.
    drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
    try:
        web = http.client.HTTPConnection("127.0.0.1", int(port[1]))
        with contextlib.closing(Place(web)) as place:
            yield place
    finally:
        process.terminate()
        process.wait()
        drain.wait()


PLACES: dict[str, Callable[[Path], AbstractContextManager[Place]]] = {
    EMULATOR: emulated,
    SERVE: served,
    UNFROZEN: partial(served, options=["--no-freeze"]),
    AGAIN: emulated,
}


def measure(root: Path, number: int) -> dict[str, list[float]]:
    """Returns the samples of each, all made anew: one has luck, which all its samples share."""
    taken: dict[str, list[float]] = {name: [] for name in PLACES}
    with contextlib.ExitStack() as stack:
        places = {name: stack.enter_context(place(root)) for name, place in PLACES.items()}
        for place in places.values():
            for _ in range(WARM_UP):
                place.invoke()
        for turn in range(TURNS):
            for name in turns(list(places), number + turn):
                taken[name] += places[name].block()
    return taken


def ask(run: Run) -> Answer:
    taken: dict[str, list[list[float]]] = {name: [] for name in PLACES}
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "app.py").write_text("def handler(event, context): return event\n")
        for number in run.rounds(10, quick=3, doing="new places"):
            for name, samples in measure(root, number).items():
                taken[name].append(samples)
    rows = [Row(name, samples) for name, samples in taken.items()]
    comparison = Comparison(
        "invocation", "one invocation in place", "us", rows, base=EMULATOR, again=AGAIN
    )
    serve, emulator = comparison.row(SERVE), comparison.row(EMULATOR)
    return Answer(
        [comparison],
        [
            Finding(
                "p50",
                "an invocation in the local Lambda takes {} times that in AWS's emulator, freezing included",
                figures.ratio(serve, emulator),
                at_most=2,
                closing=True,
            ),
            Finding(
                "p99",
                "its p99 is {} times",
                figures.quantile_ratio(serve, emulator, 0.99),
                at_most=2,
            ),
            Finding(
                "freezing",
                "freezing alone costs {}",
                figures.difference(serve, comparison.row(UNFROZEN)),
                "us",
                digits=0,
            ),
        ],
    )
