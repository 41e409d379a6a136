"""May a value that was used before be used now? A pure decision from plain numbers.

It has no clock, waits for nothing and knows no resource: `slot` asks, and acts.
"""

from enum import IntEnum
from typing import NamedTuple


class Verdict(IntEnum):
    """What a value needs before it is handed out, from nothing to everything."""

    REUSE = 0
    CHECK = 1
    REFRESH = 2
    REBUILD = 3


class Limits(NamedTuple):
    """What a resource says of its own freshness.

    Attributes:
        check_after: Gap in seconds up to which the value is trusted unchecked.
        max_gap: Gap in seconds above which it is not even checked; None: no such gap.
        max_age: Seconds after its start at which it is rebuilt; None: never.
        can_check: There is a check.
        can_refresh: There is a refresh.
    """

    check_after: float = 1.0
    max_gap: float | None = None
    max_age: float | None = None
    can_check: bool = False
    can_refresh: bool = False


def trusted_for(limits: Limits) -> float:
    """Returns the longest gap in seconds after which a value that nothing speaks against is reused."""
    check_after = limits.check_after if limits.can_check else float("inf")
    return check_after if limits.max_gap is None else min(check_after, limits.max_gap)


def decide(
    limits: Limits,
    *,
    gap: float,
    age: float = 0.0,
    expires_in: float | None = None,
    suspect: bool = False,
) -> Verdict:
    """Returns the verdict on one value.

    Never milder for a longer gap, a greater age or a suspicion.

    Args:
        limits: The resource's limits.
        gap: Seconds since the value was last used.
        age: Seconds since it started.
        expires_in: Seconds until it expires, negative when it has; None: it does not expire.
        suspect: Something says that it may be dead, however short the gap.
    """
    if limits.max_age is not None and age >= limits.max_age:
        return Verdict.REBUILD
    if expires_in is not None and expires_in <= 0:
        return Verdict.REBUILD
    if limits.max_gap is not None and gap > limits.max_gap:
        return Verdict.REFRESH if limits.can_refresh else Verdict.REBUILD
    if suspect:
        return _cheapest_proof(limits)
    if limits.can_check and gap > limits.check_after:
        return Verdict.CHECK
    return Verdict.REUSE


def _cheapest_proof(limits: Limits) -> Verdict:
    if limits.can_check:
        return Verdict.CHECK
    return Verdict.REFRESH if limits.can_refresh else Verdict.REBUILD
