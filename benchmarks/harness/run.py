"""How questions are asked: rounds, turns, and fresh processes, with progress that a person can follow."""

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parents[2]


class Progress(Protocol):
    """Where a run says how far it is."""

    def advance(self, done: int, total: int, doing: str) -> None: ...


class Run:
    """What a question is given.

    Args:
        progress: Is told how far it is.
        quick: The whole suite has three minutes.

    Attributes:
        quick: Likewise.
        options: What the command line said for this question.
    """

    def __init__(
        self, progress: Progress, *, quick: bool = False, options: Mapping[str, str] | None = None
    ) -> None:
        self.quick = quick
        self.options = dict(options or {})
        self._progress = progress

    def times(self, full: int, *, quick: int) -> int:
        """Returns one number or the other."""
        return quick if self.quick else full

    def rounds(self, full: int, *, quick: int, doing: str = "") -> Iterator[int]:
        """Yields the numbers of the rounds, from 0, and says which it is."""
        total = self.times(full, quick=quick)
        for number in range(total):
            self._progress.advance(number, total, doing)
            yield number
        self._progress.advance(total, total, doing)


def turns(contenders: Sequence[T], number: int) -> Sequence[T]:
    """Returns the order in this round, which is like no other's: who comes after whom makes a difference."""
    return random.Random(number).sample(contenders, len(contenders))


def in_fresh_process(
    function: Callable[..., T], *args: Any, env: Mapping[str, str] | None = None
) -> T:
    """Calls a function of a module in an interpreter that has imported nothing else.

    Args:
        function: What to call; everything it takes and returns must fit into JSON.
        args: Its arguments.
        env: All environment variables of the process, if not this one's.

    Raises:
        RuntimeError: It failed; with its traceback.
    """
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.harness.run",
            function.__module__,
            function.__qualname__,
        ],
        input=json.dumps(args),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=env,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{function.__qualname__} failed in its process:\n{done.stderr}")
    result: T = json.loads(done.stdout.splitlines()[-1])
    return result


def _serve() -> None:
    module, name = sys.argv[1:]
    function = getattr(import_module(module), name)
    print(json.dumps(function(*json.loads(sys.stdin.read()))))


if __name__ == "__main__":
    _serve()
