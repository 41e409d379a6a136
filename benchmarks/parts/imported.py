"""Runs a program in a fresh interpreter that finds a few distributions and no more, and says how long it took and what it loaded."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.parts.installed import install

SAMPLE = """
import json, site, sys, time
directory, before, program = json.loads(sys.argv[1])
sys.path.append(directory)
exec(before)
code = compile(program, "program", "exec")
loaded = set(sys.modules)
begun = time.perf_counter_ns()
exec(code, {"__name__": "program"})
milliseconds = (time.perf_counter_ns() - begun) / 1e6
print(json.dumps([milliseconds, len(set(sys.modules) - loaded)]))
"""
"""Runs without what `site` looks for. `import site` then loads what every interpreter has, and nothing else."""


class Program(NamedTuple):
    """What is run.

    Attributes:
        source: Its text.
        needs: The distributions that it finds, besides warmkit.
        environment: Variables.
    """

    source: str
    needs: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}


class Imported(NamedTuple):
    """What a program took.

    Attributes:
        milliseconds: From its first line to its last.
        modules: How many it loaded.
    """

    milliseconds: float
    modules: int


class Installations:
    """Where each program finds what it needs.

    Args:
        directory: Where to put it.
    """

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._paths: dict[tuple[str, ...], Path] = {}

    def run(self, program: Program, *, after: str = "") -> Imported:
        """Runs a program after another one, which does not count.

        Raises:
            RuntimeError: It failed; with its traceback.
        """
        arguments = json.dumps([str(self._path(program.needs)), after, program.source])
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", SAMPLE, arguments],
            env={"PATH": os.defpath, **program.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program.source}\nfailed in its process:\n{done.stderr}")
        milliseconds, modules = json.loads(done.stdout.splitlines()[-1])
        return Imported(milliseconds, modules)

    def _path(self, needs: tuple[str, ...]) -> Path:
        if needs not in self._paths:
            self._paths[needs] = install(self._directory / ("-".join(needs) or "alone"), needs)
        return self._paths[needs]
