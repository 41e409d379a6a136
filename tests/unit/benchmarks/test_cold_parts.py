"""The parts of a cold start: what counts as which, and that nothing is counted twice or lost."""

import asyncio
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.questions.cold import FUNCTION, parts_of

NOTED = {"spawned": 1.0, "python": 1.02, "function": 1.05, "loaded": 1.25, "at hand": 1.35}


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(FUNCTION))
    yield importlib.import_module("moments")
    del sys.modules["moments"]


def rounded(parts: dict[str, float]) -> list[float]:
    assert list(parts) == ["interpreter", "runtime", "imports", "starts", "first use"]
    return [round(part, 6) for part in parts.values()]


def test_each_part_begins_where_the_one_before_ends() -> None:
    assert rounded(parts_of(NOTED, 1.40)) == [20, 30, 200, 100, 50]


def test_what_starts_while_a_module_loads_is_a_start() -> None:
    assert rounded(parts_of(NOTED | {"starting": 0.08}, 1.40)) == [20, 30, 120, 180, 50]


def test_what_a_start_imports_is_an_import() -> None:
    early = {"starting": 0.08, "importing late": 0.03}
    assert rounded(parts_of(NOTED | early, 1.40)) == [20, 30, 150, 150, 50]
    assert rounded(parts_of(NOTED | {"importing late": 0.06}, 1.40)) == [20, 30, 260, 40, 50]


def test_a_call_is_surrounded_but_not_what_it_calls(moments: Any) -> None:
    story: list[str] = []

    class Owner:
        def call(self, deep: bool) -> str:  # noqa: FBT001
            story.append("call")
            return self.call(deep=False) if deep else "answer"

    class Noting:
        def __enter__(self) -> None:
            story.append("in")

        def __exit__(self, *_: object) -> None:
            story.append("out")

    around = moments.Around((Owner, "call"), context=Noting)
    around.begin()
    assert [Owner().call(deep=True), Owner().call(deep=False)] == ["answer", "answer"]
    around.end()
    Owner().call(deep=False)
    assert story == ["in", "call", "call", "out", "in", "call", "out", "call"]


def test_what_fails_is_surrounded_and_the_next_call_too(moments: Any) -> None:
    class Owner:
        def call(self) -> None:
            raise LookupError

    around = moments.Around((Owner, "call"), context=lambda: moments.timed("failing"))
    around.begin()
    surrounded = Owner.call
    with pytest.raises(LookupError):
        Owner().call()
    assert Owner.call is not surrounded  # it is put around anew
    assert moments._noted["failing"] >= 0
    around.end()
    assert Owner.call is not surrounded


def test_a_loop_that_runs_is_what_starts_something(moments: Any) -> None:
    loop = asyncio.new_event_loop()
    loops = moments.Around(
        (asyncio.BaseEventLoop, "run_forever"), context=lambda: moments.timed("starting")
    )
    loops.begin()
    loop.run_until_complete(asyncio.sleep(0))
    loops.end()
    loop.close()
    assert moments._noted["starting"] > 0


def test_a_file_of_moments_is_written_once(
    moments: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "moments"
    monkeypatch.setenv("MOMENTS", str(file))
    monkeypatch.setenv("SPAWNED", "1700000000,5")  # a shell's comma, where that is the custom
    moments.note("python")
    moments.write()
    names = [line.split()[0] for line in file.read_text().splitlines()]
    assert names == ["python", "spawned", "on"]
    file.unlink()
    moments.write()
    assert not file.exists()
