"""What happens to a function, step by step: as values, from a TOML file or from options.

It runs nothing.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Outcome = Literal["ok", "error", "timeout", "any"]


class ScenarioError(Exception):
    """A scenario cannot be understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoke:
    """Invoke the function.

    Attributes:
        event: With what.
        times: How often.
        concurrent: How many at once.
        expect: What each must come to; "any" if it does not matter.
    """

    event: Any
    times: int = 1
    concurrent: int = 1
    expect: Outcome = "ok"


@dataclass(frozen=True, slots=True)
class Freeze:
    """Leave every environment frozen for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut the function's TCP connections behind its back."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Let all environments vanish without a word."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """End all environments in order."""


Step = Invoke | Freeze | Cut | Kill | Shutdown


def from_options(
    event: Any, *, times: int, gap: float, concurrent: int, cut: bool, kill: bool
) -> list[Step]:
    """Return the steps that the options of the command line mean: what is between two invocations."""
    between: list[Step] = [*([Freeze(gap)] if gap else []), *([Cut()] if cut else [])]
    between += [Kill()] if kill else []
    if not between:
        return [Invoke(event=event, times=times, concurrent=concurrent)]
    steps: list[Step] = []
    for left in range(times, 0, -concurrent):
        once = min(left, concurrent)
        steps += [Invoke(event=event, times=once, concurrent=once), *between]
    return steps[: -len(between)]


def read(path: Path) -> list[Step]:
    """Read a scenario.

    Raises:
        ScenarioError: It cannot be understood; the text says where and what to write.
    """
    try:
        said = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        message = f"{path}: {error}"
        raise ScenarioError(message) from error
    entries = said.get("step")
    if not isinstance(entries, list) or set(said) != {"step"}:
        message = f"{path}: a scenario is a list of [[step]] tables, and nothing else."
        raise ScenarioError(message)
    steps: list[Step] = []
    for number, entry in enumerate(cast("list[dict[str, Any]]", entries), 1):
        try:
            steps.append(_step(entry))
        except (TypeError, ValueError) as error:
            message = f"{path}: step {number}: {error}"
            raise ScenarioError(message) from error
    return steps


def _step(entry: Mapping[str, Any]) -> Step:
    if "invoke" in entry:
        return _invoke(entry)
    if len(entry) == 1:
        kind, value = next(iter(entry.items()))
        if kind == "freeze" and isinstance(value, int | float) and value >= 0:
            return Freeze(value)
        simple: dict[str, Step] = {"cut": Cut(), "kill": Kill(), "shutdown": Shutdown()}
        if kind in simple and value is True:
            return simple[kind]
    message = (
        f"{dict(entry)} means nothing. Write one of: invoke = <event>, freeze = <seconds>, "
        "cut = true, kill = true, shutdown = true"
    )
    raise ValueError(message)


def _invoke(entry: Mapping[str, Any]) -> Invoke:
    unknown = set(entry) - {"invoke", "times", "concurrent", "expect"}
    if unknown:
        message = f"unknown: {', '.join(sorted(unknown))}. Beside invoke there may be times, concurrent and expect."
        raise ValueError(message)
    step = Invoke(event=entry["invoke"], **{key: entry[key] for key in entry if key != "invoke"})
    if step.expect not in {"ok", "error", "timeout", "any"}:
        message = f'expect = {step.expect!r} is none of "ok", "error", "timeout", "any"'
        raise ValueError(message)
    for name in ("times", "concurrent"):
        count = getattr(step, name)
        if not isinstance(count, int) or count < 1:
            message = f"{name} = {count!r} is no number of invocations"
            raise ValueError(message)
    return step
