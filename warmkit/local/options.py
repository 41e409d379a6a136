"""Names the options of a local Lambda, for type checkers and for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict

from warmkit.local.sandbox.course import Moment
from warmkit.local.sandbox.function import Initialization, RuntimeName


class FunctionOptions(TypedDict, total=False):
    """How a function is run, but for its code.

    Attributes:
        runtime: "warmkit" or "aws".
        name: The function's name; else "function".
        timeout: Seconds for an invocation; else 3, as on Lambda.
        memory: MB; else 128. Told to the function, not enforced.
        env: Environment variables besides this process's.
        concurrency: Invocations that an environment serves at once; more than 1 means Lambda Managed
            Instances, which do not freeze.
        extensions: External extensions: programs to be started with each environment.
        initialization: "on-demand" or "snap-start".
        init_limit: Seconds for the init phase; else 10, as on Lambda.
        freeze: False lets idle environments run on.
    """

    runtime: RuntimeName
    name: str
    timeout: float
    memory: int
    env: Mapping[str, str]
    concurrency: int
    extensions: tuple[Path, ...]
    initialization: Initialization
    init_limit: float | None
    freeze: bool


class FleetOptions(TypedDict):
    """How many environments there are, and who hears of them.

    Attributes:
        limit: How many there may be; else 100.
        idle_time: Seconds after which an idle one ends; else 300.
        provisioned: How many are made in advance.
        say: Called with an environment's name and each line of its log.
        observe: Called with each `Moment`.
    """

    limit: int
    idle_time: float
    provisioned: int
    say: Callable[[str, str], None]
    observe: Callable[[Moment], None]


class Options(FunctionOptions, total=False):
    """All options of a `LocalLambda`: those of both.

    Attributes:
        task_root: The directory with the code; else the current one.
    """

    task_root: Path
    limit: int
    idle_time: float
    provisioned: int
    say: Callable[[str, str], None]
    observe: Callable[[Moment], None]
