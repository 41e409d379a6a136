"""Asks one question in a process of its own, so that no question finds what another has left.

The process writes lines to a pipe: how far it is, and at last what it found.
"""

import ast
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import BinaryIO

import msgspec

from benchmarks.harness import figures
from benchmarks.harness.answer import Answered
from benchmarks.harness.machine import commit
from benchmarks.harness.run import ROOT, Progress, Run
from benchmarks.questions import SECTIONS


class Order(msgspec.Struct, frozen=True):
    """What the process is told."""

    name: str
    quick: bool
    options: dict[str, str]


class Step(msgspec.Struct, frozen=True, tag=True):
    """How far it is."""

    done: int
    total: int
    doing: str


class Found(msgspec.Struct, frozen=True, tag=True):
    """What it found."""

    answered: Answered


def ask(name: str, progress: Progress, *, quick: bool, options: Mapping[str, str]) -> Answered:
    """Returns the answer, or what kept it from one. Waits for the process, also when it is interrupted."""
    order = msgspec.json.encode(Order(name, quick, dict(options))).decode()
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as said, os.fdopen(reading, "rb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness.ask", str(writing), order],
            pass_fds=[writing],
            stdout=said,
            stderr=said,
            cwd=ROOT,
        )
        os.close(writing)
        try:
            found = _follow(lines, progress)
        finally:
            process.wait()
        said.seek(0)
        return found or _unanswered(name, quick, said.read().decode(errors="replace"))


def describe(name: str) -> tuple[str, str, str]:
    """Returns a question, how it is asked, and what the answer does not show: as its file says, which is not run for it."""
    tree = ast.parse((ROOT / "benchmarks" / "questions" / f"{name}.py").read_text())
    question, _, method = (ast.get_docstring(tree) or "").partition("\n")
    (not_shown,) = (
        ast.literal_eval(item.value)
        for item in tree.body
        if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == "NOT_SHOWN"
    )
    return question, method.strip(), not_shown


def _follow(lines: BinaryIO, progress: Progress) -> Answered | None:
    for line in lines:
        message = msgspec.json.decode(line, type=Step | Found)
        if isinstance(message, Found):
            return message.answered
        progress.advance(message.done, message.total, message.doing)
    return None


def _unanswered(name: str, quick: bool, failure: str | None) -> Answered:  # noqa: FBT001
    section = next(section for section, names in SECTIONS.items() if name in names)
    question, method, not_shown = describe(name)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Answered(
        name=name,
        section=section,
        question=question,
        method=method,
        not_shown=not_shown,
        begun=now,
        commit=commit(),
        quick=quick,
        seconds=0.0,
        failure=failure,
    )


# -- in its process


class Pipe:
    """Progress that is written down."""

    def __init__(self, number: int) -> None:
        self._stream = os.fdopen(number, "wb", buffering=0)

    def advance(self, done: int, total: int, doing: str) -> None:
        self.write(Step(done, total, doing))

    def write(self, message: Step | Found) -> None:
        self._stream.write(msgspec.json.encode(message) + b"\n")


def main() -> None:
    pipe, order = Pipe(int(sys.argv[1])), msgspec.json.decode(sys.argv[2], type=Order)
    os.set_inheritable(int(sys.argv[1]), False)
    found, begun = _unanswered(order.name, order.quick, None), time.monotonic()
    try:
        module = import_module(f"benchmarks.questions.{order.name}")
        answer = module.ask(Run(pipe, quick=order.quick, options=order.options))
        found = msgspec.structs.replace(
            found,
            answer=answer,
            seconds=round(time.monotonic() - begun, 1),
            summaries={item.name: figures.summarize(item) for item in answer.comparisons},
        )
    except Exception:
        found = msgspec.structs.replace(found, failure=traceback.format_exc())
    pipe.write(Found(found))


if __name__ == "__main__":
    main()
