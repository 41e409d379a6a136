"""When invocations arrive: a day, a flash crowd, a moment with bursts, or what a CSV file says.

A trace is a list of seconds from its begin, in order.
"""

import csv
import math
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

DAY_S = 86_400
CROWD_S = 600

Rate = Callable[[int], float]
"""Arrivals a second, in the second that begins then."""


class TraceError(ValueError):
    """A file is not a trace."""


def poisson(rate: Rate, seconds: int, chance: random.Random) -> list[float]:
    """Returns the arrivals of a Poisson process whose rate is another one each second."""
    arrivals: list[float] = []
    for second in range(seconds):
        a_second = rate(second)
        after = chance.expovariate(a_second) if a_second else 1.0
        while after < 1.0:
            arrivals.append(second + after)
            after += chance.expovariate(a_second)
    return arrivals


def day(invocations: int, chance: random.Random) -> list[float]:
    """Returns a day's arrivals: at four in the afternoon nine times as many as at four in the morning."""
    mean = invocations / DAY_S

    def rate(second: int) -> float:
        return mean * (1 - 0.8 * math.cos(2 * math.pi * (second / 3600 - 4) / 24))

    return poisson(rate, DAY_S, chance)


def flash_crowd(peak: float, chance: random.Random) -> list[float]:
    """Returns ten minutes at a two-hundredth of the peak, into which a crowd comes.

    In the third minute it is there within five seconds; it stays for a minute, then is half of it every 15 s.
    """

    def rate(second: int) -> float:
        since = second - 120
        rising, falling = (since + 1) / 5, math.exp2((65 - since) / 15)
        return peak * max(1 / 200, min(1.0, rising, falling))

    return poisson(rate, CROWD_S, chance)


def with_bursts(trace: Iterable[float], bursts: Iterable[tuple[float, int]]) -> list[float]:
    """Returns a trace into which so many come at such a time, a millisecond after each other."""
    added = [at + number / 1000 for at, count in bursts for number in range(count)]
    return sorted([*trace, *added])


def read(path: Path, column: str | None = None) -> list[float]:
    """Returns the arrivals of a CSV file: a line for each, in any order.

    Args:
        path: The file. A first line without a time in it names the columns.
        column: Which one has the time, as seconds or by ISO 8601; else the first.

    Raises:
        TraceError: There is no such file, column or time.
    """
    try:
        lines = [
            (number, line)
            for number, line in enumerate(csv.reader(path.read_text("utf-8-sig").splitlines()), 1)
            if any(cell.strip() for cell in line)
        ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path}: expected a CSV file of arrival times, but: {error}") from error
    heads = lines.pop(0)[1] if lines and _is_head(lines[0][1]) else []
    which = _index(path, heads, column)
    times = [_time(path, number, line, which) for number, line in lines]
    if not times:
        raise TraceError(f"{path}: expected a line for each arrival, but there is none")
    if len({kind for kind, _ in times}) > 1:
        raise TraceError(f"{path}: expected either seconds or dates, but found both")
    first = min(seconds for _, seconds in times)
    return sorted(seconds - first for _, seconds in times)


def _is_head(line: list[str]) -> bool:
    return all(_parse(cell) is None for cell in line)


def _index(path: Path, heads: list[str], column: str | None) -> int:
    names = [head.strip() for head in heads]
    if column is None:
        return 0
    if column not in names:
        found = ", ".join(names) or "no names in the first line"
        raise TraceError(f"{path}: expected a column {column!r}, but found {found}")
    return names.index(column)


def _time(path: Path, number: int, line: list[str], which: int) -> tuple[str, float]:
    cell = line[which] if which < len(line) else ""
    time = _parse(cell)
    if time is None:
        raise TraceError(
            f"{path}, line {number}: expected a time, as 12.5 or 2026-03-01T08:00:00Z, but found {cell!r}"
        )
    return time


def _parse(cell: str) -> tuple[str, float] | None:
    """Returns what kind of time it is, and its seconds."""
    try:
        seconds = float(cell)
    except ValueError:
        return _parse_date(cell.strip())
    return ("seconds", seconds) if math.isfinite(seconds) else None


def _parse_date(cell: str) -> tuple[str, float] | None:
    try:
        date = datetime.fromisoformat(cell)
    except ValueError:
        return None
    return ("date", (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())
