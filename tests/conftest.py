"""What tests of every room share: virtual time, a recorded environment, a process of their own."""

import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from warmkit import Environment
from warmkit.hosts import loop as host_loop
from warmkit.local import processes
from warmkit.testing import EventRecorder, VirtualClock, run

Scenario = Callable[[Environment], Coroutine[Any, Any, Any]]
ROOT = Path(__file__).parent.parent

# How long an example takes says something of the machine only.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


def pytest_configure() -> None:
    """Gives each worker ports of its own: a server that finds its port taken would leave its client with somebody else's."""
    name = os.environ.get("PYTEST_XDIST_WORKER")
    if name is not None:
        number, count = int(name.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        processes._PORTS = processes._PORTS[number::count]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def recorder() -> EventRecorder:
    return EventRecorder()


@pytest.fixture
def inside(clock: VirtualClock, request: pytest.FixtureRequest) -> Callable[[Scenario], Any]:
    """Decorator: runs an async scenario at once, inside an environment of its own, in virtual time.

    It is observed only for a test that wants the recorder: without an observer it leases in groups.
    """
    wanted = "recorder" in request.fixturenames
    observers = [request.getfixturevalue("recorder")] if wanted else []

    def drive(scenario: Scenario) -> Any:
        async def main() -> Any:
            async with Environment(clock=clock, observers=observers) as environment:
                return await scenario(environment)

        return run(main, clock=clock)

    return drive


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The persistent loop of a new process: nothing kept from other tests, closed at the end."""
    kept: list[host_loop.PersistentLoop] = []
    monkeypatch.setattr(host_loop, "_kept", kept)
    yield
    while kept:
        kept.pop().close()


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs source text as a program of its own, with variables of its own; every warning is an error."""

    def start(source: str, **variables: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "program.py"
        file.write_text(source)
        clean = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        return subprocess.run(
            [sys.executable, "-W", "error", str(file)],
            env={**clean, "PYTHONPATH": paths, **variables},
            capture_output=True,
            text=True,
            timeout=60,  # a program that hangs is to fail, not to stop the run
            check=False,
        )

    return start
