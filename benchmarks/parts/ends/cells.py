"""The matrix: which runtime, at which moment, with which extensions; and what is left after each end."""

import time
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.parts.ends.network import Network
from benchmarks.parts.ends.platform import PATIENCE, Platform
from warmkit.local.postgres_server import PostgresServer
from warmkit.local.processes import HOST

NEIGHBOURS = ("one", "two", "three")
OPEN = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%/%'"
IN_A_QUERY = f"{OPEN} AND state = 'active' AND query LIKE '%3600%'"
SETTLING_S = 1.0
"""For the server to notice that a client has left."""


class Runtime(NamedTuple):
    """A runtime in one of its modes.

    Attributes:
        module: What serves.
        env: What makes it do so in this mode.
        at_once: How many invocations it serves at a time.
    """

    module: str
    env: dict[str, str]
    at_once: int = 1


RUNTIMES = {
    "AWS's, 3.11 and containers": Runtime("awslambdaric", {}),
    "AWS's, 3.12+": Runtime("awslambdaric", {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.12"}),
    "warmkit's": Runtime("warmkit.runtime", {}),
    "warmkit's, 16 at once": Runtime("warmkit.runtime", {"AWS_LAMBDA_MAX_CONCURRENCY": "16"}, 16),
}
MOMENTS = ("idle", "in a call", "in init", "just thawed")


class Cell(NamedTuple):
    """One place in the matrix.

    Attributes:
        runtime: A key of `RUNTIMES`.
        moment: One of `MOMENTS`.
        external: Whether an external extension is there, too.
        hang: Whether a resource hangs when it is closed.
        killed: Whether it ends without a warning.
    """

    runtime: str
    moment: str
    external: bool = False
    hang: bool = False
    killed: bool = False


class Outcome(NamedTuple):
    """What one end came to.

    Attributes:
        status: The exit status.
        ms: From the signal to the exit.
        open: Connections before it.
        left: Connections that nobody closed.
        neighbours: How many of the three neighbours were closed.
        neighbours_ms: From the signal to the close of the last of them.
        output: What the process said.
    """

    status: int
    ms: float
    open: int
    left: int
    neighbours: int
    neighbours_ms: float
    output: list[str]


def matrix() -> Iterator[Cell]:
    """Yields every cell in which SIGTERM is granted."""
    for runtime in RUNTIMES:
        for moment in MOMENTS:
            yield Cell(runtime, moment)
            yield Cell(runtime, moment, external=True)


def end_of(cell: Cell, database: PostgresServer, *, patience: float = 1.0) -> Outcome:
    """Brings an environment to the moment, ends it, and looks what is left."""
    runtime = RUNTIMES[cell.runtime]
    with Network(HOST, database.port) as network:
        env = runtime.env | {
            "DATABASE_URL": database.dsn.replace(f":{database.port}/", f":{network.port}/"),
            "ENDS_PATIENCE": str(patience),
            "ENDS_HANG": "1" if cell.hang else "",
            "ENDS_IN_INIT": "1" if cell.moment == "in init" else "",
        }
        with Platform(
            runtime.module, "app.handler", env, external=cell.external, patience=patience
        ) as platform:
            network.process = platform.process.pid
            _bring_to(cell.moment, platform, runtime.at_once)
            open_before = 1 if cell.moment == "in init" else runtime.at_once
            until(database, IN_A_QUERY if cell.moment == "in a call" else OPEN, open_before)
            end = (
                platform.kill() if cell.killed else platform.end(thaw=cell.moment == "just thawed")
            )
            left = left_in(database, patience=patience)
            closed = [when for word in NEIGHBOURS for when in platform.said(f"closed {word}")]
            last_ms = (max(closed) - end.began) * 1000 if closed else 0.0
            return Outcome(
                end.status, end.ms, open_before, left, len(closed), last_ms, platform.output
            )


def _bring_to(moment: str, platform: Platform, at_once: int) -> None:
    if moment == "in init":
        platform.says("waits")
        return
    if moment == "in a call":
        platform.invoke("wait", times=at_once)
        platform.says("waits", times=at_once)
        return
    platform.invoke("go", times=at_once)
    platform.answered(times=at_once)
    platform.is_idle()
    if moment == "just thawed":
        platform.freeze()
        time.sleep(0.05)


def until(database: PostgresServer, count: str, wanted: int) -> None:
    """Waits until a query for a number says the one that is wanted."""
    ends = time.monotonic() + PATIENCE
    while int(database.execute(count)[0]) != wanted:
        if time.monotonic() > ends:
            raise TimeoutError(f"there were never {wanted} connections")


def left_in(database: PostgresServer, *, patience: float = 1.0) -> int:
    """Returns how many connections there are, once no more leave."""
    ends = time.monotonic() + SETTLING_S * patience
    while (left := len(database.backends())) and time.monotonic() < ends:
        time.sleep(0.02)
    return left
