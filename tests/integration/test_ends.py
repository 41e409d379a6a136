"""Whenever the platform announces the end, no connection is left: AWS's emulator, or a platform of ours for sixteen at once."""

import os
import signal
import threading
from contextlib import suppress

import psutil
import pytest

from benchmarks.parts.ends.cells import (
    IN_A_QUERY,
    MOMENTS,
    NEIGHBOURS,
    RUNTIMES,
    Cell,
    end_of,
    left_in,
    matrix,
    until,
)
from benchmarks.parts.ends.network import Network
from benchmarks.parts.ends.platform import TASK
from warmkit.local.processes import HOST

PATIENCE = 100
"""Times as long as Lambda grants: a machine that is busy with tests is slower than it looks."""

ONE_BY_ONE = {name: item for name, item in RUNTIMES.items() if item.at_once == 1}
TOGETHER = [cell for cell in matrix() if cell.runtime not in ONE_BY_ONE]


@pytest.fixture
def network(postgres):
    with Network(HOST, postgres.port) as network:
        network.dsn = postgres.dsn.replace(f":{postgres.port}/", f":{network.port}/")
        yield network


@pytest.fixture
def brought_to(emulator, network, postgres):
    """Brings an environment of AWS's emulator to a moment; returns it, and its function's process."""

    def bring(runtime, moment, *, external):
        function = emulator(
            "app.handler",
            task_root=TASK,
            runtime=runtime.module,
            extension=TASK / "observer.py" if external else None,
            env={
                **runtime.env,
                "DATABASE_URL": network.dsn,
                "ENDS_PATIENCE": "2",  # the emulator grants 600 ms
                "ENDS_IN_INIT": "1" if moment == "in init" else "",
            },
        )
        if moment in {"idle", "just thawed"}:
            assert function.invoke("go")[0] == 200
        else:
            threading.Thread(target=invoke_in_vain, args=[function], daemon=True).start()
            says(function, "waits")
        if moment == "in a call":
            until(postgres, IN_A_QUERY, 1)
        process = process_of(function, runtime.module)
        network.process = process.pid
        return function, process

    return bring


def invoke_in_vain(function):
    with suppress(Exception):  # the emulator goes away meanwhile
        function.invoke("wait")


def says(function, word):
    while word not in function.log:
        threading.Event().wait(0.01)


def process_of(function, module):
    children = psutil.Process(function.pid).children(recursive=True)
    (process,) = [child for child in children if child.cmdline()[1:3] == ["-m", module]]
    return process


@pytest.mark.parametrize("external", [False, True], ids=["internal", "external"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("runtime", ONE_BY_ONE.values(), ids=ONE_BY_ONE)
def test_awss_emulator_ends_it_and_nothing_is_left(brought_to, postgres, runtime, moment, external):
    function, process = brought_to(runtime, moment, external=external)
    assert len(postgres.backends()) == 1
    if moment == "just thawed":
        process.suspend()
        threading.Timer(0, os.kill, [process.pid, signal.SIGCONT]).start()
    function.close()
    assert left_in(postgres, patience=PATIENCE) == 0
    closed = [line.split()[1] for line in function.log.splitlines() if line.startswith("closed ")]
    assert sorted(closed) == sorted(NEIGHBOURS)
    assert "did not exit" not in function.log
    assert ("observer was told" in function.log) is external


@pytest.mark.parametrize("cell", TOGETHER, ids=lambda cell: f"{cell.moment}-{cell.external}")
def test_sixteen_at_once_are_ended_and_nothing_is_left(postgres, cell):
    outcome = end_of(cell, postgres, patience=PATIENCE)
    assert (outcome.status, outcome.left, outcome.neighbours) == (0, 0, 3)
    assert outcome.open == (1 if cell.moment == "in init" else 16)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_one_that_hangs_in_its_close_costs_the_others_nothing(postgres, runtime):
    """It costs the time that is left; the others are closed first."""
    outcome = end_of(Cell(runtime, "idle", hang=True), postgres, patience=PATIENCE)
    assert (outcome.status, outcome.left, outcome.neighbours) == (0, 0, 3)
    assert outcome.neighbours_ms < outcome.ms


def test_a_kill_without_a_warning_leaves_every_connection(postgres):
    """Else the tests above would prove nothing."""
    outcome = end_of(Cell("warmkit's", "idle", killed=True), postgres)
    assert (outcome.open, outcome.left, outcome.neighbours) == (1, 1, 0)
