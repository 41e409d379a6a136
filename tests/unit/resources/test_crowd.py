"""How long a full server is waited for, in virtual time; and how it is known to be full."""

import asyncio
import random
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmkit.resources.postgres.crowd import FIRST, LAST, MOST, Draw, Patience, is_full
from warmkit.testing import VirtualClock, run


def waits(limit: float, draw: Draw | None, *, trying: float = 0.0) -> list[float]:
    """Returns the waits between tries that fail, each of which takes some time."""
    clock = VirtualClock()
    found: list[float] = []

    async def scenario() -> None:
        patience = Patience(limit, draw)
        while True:
            await asyncio.sleep(trying)
            patience.tries += 1
            before = clock.monotonic
            if not await patience.wait():
                assert clock.monotonic == before, "it gives up at once"
                return
            found.append(clock.monotonic - before)

    run(scenario, clock=clock)
    return found


def test_the_ceiling_doubles_up_to_the_highest() -> None:
    found = waits(5.0, lambda low, high: high)
    assert found[:6] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.0])
    assert found[:-1] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0])


def test_the_last_wait_ends_early_enough_for_one_more_try() -> None:
    assert sum(waits(5.0, lambda low, high: high)) == pytest.approx(5.0 - LAST)


def test_the_jitter_is_full() -> None:
    drawn: list[tuple[float, float]] = []

    def draw(low: float, high: float) -> float:
        drawn.append((low, high))
        return random.Random(7).uniform(low, high)

    waits(2.0, draw)
    assert {low for low, _ in drawn} == {0.0}
    assert drawn[0][1] == FIRST
    assert max(high for _, high in drawn) == MOST


@given(seed=st.integers(), limit=st.floats(0.0, 10.0), trying=st.floats(0.001, 0.5))
def test_it_never_outlasts_its_limit(seed: int, limit: float, trying: float) -> None:
    found = waits(limit, random.Random(seed).uniform, trying=trying)
    assert sum(found) + trying * len(found) <= limit + 1e-6
    assert all(0 <= wait <= MOST for wait in found)


def test_two_environments_do_not_come_back_together() -> None:
    assert waits(2.0, None) != waits(2.0, None)


class RefusedError(Exception):
    def __init__(self, state: str | None, text: str) -> None:
        super().__init__(text)
        if state is not None:
            self.sqlstate = state


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (asyncpg.TooManyConnectionsError("sorry, too many clients already"), True),
        (asyncpg.TooManyConnectionsError("remaining connection slots are reserved"), True),
        (RefusedError("08P01", "no more connections allowed (max_client_conn)"), True),
        (RefusedError("XX000", "Max client connections reached"), True),
        (RefusedError("XX000", "MaxClientsInSessionMode: max clients reached"), True),
        (RefusedError("08P01", "no such database"), False),
        (RefusedError(None, "no more connections allowed"), False),
        (asyncpg.InvalidPasswordError("too many clients"), False),
        (ConnectionRefusedError(111, "refused"), False),
    ],
)
def test_only_a_refusal_for_want_of_room_is_one(error: Any, full: bool) -> None:  # noqa: FBT001
    assert is_full(error) is full
