"""What does an invocation in the local Lambda cost, against AWS's emulator?

The same function under AWS's runtime (awslambdaric, unmodified) in three places: AWS's emulator, `warmkit serve`, and `warmkit serve
--no-freeze`. They take turns, in blocks of invocations one right after the other over one connection.

    python -m benchmarks.local_invoke

Prints p50 and p99 of the microseconds that a caller waits, and writes every sample to benchmarks/results/local_invoke.json. Exits with 1
if `warmkit serve`, with the freeze, takes more than twice the emulator's p50 or p99. It needs the tests' download of the emulator.
"""

import contextlib
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration"))

from emulator import PYTHONPATH, Emulator

BLOCKS, BLOCK, WARM_UP = 40, 50, 200
RESULTS = Path(__file__).parent / "results" / "local_invoke.json"
SERVE = [sys.executable, "-c", "from warmkit.local.cli import main; main()", "serve"]
INVOKE = "/2015-03-31/functions/function/invocations"
EVENT = json.dumps({"key": "value"})


class Place:
    """Somewhere the function is served."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self.samples: list[float] = []

    def invoke(self) -> float:
        """Returns the microseconds of one invocation."""
        begun = time.perf_counter()
        self._connection.request("POST", INVOKE, EVENT)
        body = self._connection.getresponse().read()
        taken = time.perf_counter() - begun
        assert json.loads(body) == {"key": "value"}, body
        return taken * 1e6

    def block(self) -> None:
        self.samples += [self.invoke() for _ in range(BLOCK)]

    def close(self) -> None:
        self._connection.close()


@contextlib.contextmanager
def emulated(root: Path) -> Iterator[Place]:
    with (
        Emulator("app.handler", task_root=root) as emulator,
        contextlib.closing(Place(emulator.port)) as place,
    ):
        yield place


@contextlib.contextmanager
def served(root: Path, *options: str) -> Iterator[Place]:
    process = subprocess.Popen(
        [*SERVE, "app.handler", "--runtime", "aws", "--port", "0", *options],
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
        with contextlib.closing(Place(int(port[1]))) as place:
            yield place
    finally:
        process.terminate()
        process.wait()
        drain.wait()


def main() -> int:
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        root = Path(directory)
        (root / "app.py").write_text("def handler(event, context): return event\n")
        places = {
            "AWS's emulator": stack.enter_context(emulated(root)),
            "warmkit serve": stack.enter_context(served(root)),
            "... without freezing": stack.enter_context(served(root, "--no-freeze")),
        }
        for place in places.values():
            for _ in range(WARM_UP):
                place.invoke()
        for _ in range(BLOCKS):
            for place in places.values():
                place.block()
    return conclude({name: place.samples for name, place in places.items()})


def conclude(samples: dict[str, list[float]]) -> int:
    figures = {}
    for name, values in samples.items():
        cuts = statistics.quantiles(values, n=100)
        figures[name] = (cuts[49], cuts[98])
    emulator = figures["AWS's emulator"]
    print(f"one invocation, of {BLOCKS * BLOCK} each:")
    for name, (p50, p99) in figures.items():
        ratios = f"{p50 / emulator[0]:.2f} and {p99 / emulator[1]:.2f} x the emulator's"
        print(f"  {name:22} p50 {p50:7.0f} us   p99 {p99:7.0f} us   {ratios}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(
        json.dumps({"question": (__doc__ or "").partition("\n")[0], "samples_us": samples}) + "\n"
    )
    ours = figures["warmkit serve"]
    return 0 if ours[0] <= 2 * emulator[0] and ours[1] <= 2 * emulator[1] else 1


if __name__ == "__main__":
    sys.exit(main())
