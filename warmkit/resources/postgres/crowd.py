"""Meets a server that is full: how it says so, and how long to wait before each further try.

Many environments that start together find it full together. Each waits for a random time, up to a ceiling that
doubles ("full jitter"), so that they do not come back together, too.
"""

import asyncio
import re
from collections.abc import Callable
from typing import TypeAlias

Draw: TypeAlias = Callable[[float, float], float]
"""A random number between two."""

FIRST = 0.05
"""Seconds: the ceiling of the first wait. The next ones double it."""
MOST = 1.0
"""Seconds: the highest ceiling."""
LAST = 0.1
"""Seconds that are kept for the last try."""

_TOO_MANY = "53300"  # the server's, a database's or a role's limit; the reserved slots, too
# pgbouncer says 08P01 and Supavisor XX000, which say many other things besides.
_POOLER_IS_FULL = re.compile(
    "no more connections allowed|max client connections reached|max clients reached", re.IGNORECASE
)


def is_full(error: BaseException) -> bool:
    """Whether a server or a pooler refused one more connection, and may take it later."""
    state = getattr(error, "sqlstate", None)  # None: not the server's own words
    return state == _TOO_MANY or (state is not None and bool(_POOLER_IS_FULL.search(str(error))))


class Patience:
    """How often, and how long, one connection has been tried for.

    Args:
        limit: Seconds for all tries.
        draw: Where the random numbers come from; default: the operating system, as environments restored from
            one snapshot have the same random state.

    Attributes:
        tries: How many have failed.
        refusal: What the server said last, if it was full.
    """

    def __init__(self, limit: float, draw: Draw | None = None) -> None:
        self._now = asyncio.get_running_loop().time
        self._begun = self._now()
        self._limit = limit
        self._draw = draw
        self._ceiling = FIRST
        self._over = False
        self.tries = 0
        self.refusal: Exception | None = None

    @property
    def spent(self) -> float:
        """The seconds that have passed."""
        return self._now() - self._begun

    @property
    def left(self) -> float:
        """The seconds that remain."""
        return max(0.0, self._limit - self.spent)

    async def wait(self) -> bool:
        """Waits for the moment of the next try; returns False, at once, if there is no time for one."""
        at_most = self.left - LAST
        if self._over or at_most <= 0:
            return False
        wait = self._random(self._ceiling)
        self._ceiling = min(MOST, 2 * self._ceiling)
        self._over = wait >= at_most  # what comes now is the last try
        await asyncio.sleep(min(wait, at_most))
        return True

    def _random(self, ceiling: float) -> float:
        if self._draw is None:
            from random import SystemRandom  # most environments never need it

            self._draw = SystemRandom().uniform
        return self._draw(0.0, ceiling)
