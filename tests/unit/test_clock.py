"""Readings, gaps and deadlines."""

import asyncio
import time

import pytest

from warmkit import TimeLimitError
from warmkit.clock import Reading, SystemClock, Within, gap
from warmkit.testing import HANG, VirtualClock, run

ZERO = Reading(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("later", "seconds"),
    [
        (Reading(7.0, 0.0, 0.0), 7.0),
        (Reading(0.0, 7.0, 0.0), 7.0),
        (Reading(0.0, 0.0, 7.0), 7.0),
        (Reading(-3600.0, 7.0, 5.0), 7.0),
        (Reading(-1.0, -2.0, -3.0), 0.0),
    ],
    ids=["only wall", "only monotonic", "only boot", "wall clock set back", "nothing goes on"],
)
def test_the_gap_is_that_of_the_clock_that_saw_most(later, seconds):
    assert gap(ZERO, later) == seconds


def test_the_system_clock_reads_the_three_clocks_of_the_system():
    before = (time.time(), time.monotonic())
    reading = SystemClock().read()
    after = (time.time(), time.monotonic())
    assert before <= (reading.wall, reading.monotonic) <= after
    assert isinstance(reading, Reading)
    assert reading.boot >= 0


def test_within_names_what_took_too_long():
    async def scenario():
        with pytest.raises(TimeLimitError) as raised:
            async with Within(2.0, "the start", "start_timeout"):
                await HANG()
        return raised.value

    error = run(scenario)
    assert (error.what, error.limit, error.option) == ("the start", 2.0, "start_timeout")
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_within_lets_a_timeout_of_the_block_itself_through():
    mine = TimeoutError("mine")

    async def scenario():
        async with Within(2.0, "the start", "start_timeout"):
            raise mine

    with pytest.raises(TimeoutError) as raised:
        run(scenario)
    assert raised.value is mine


def test_within_lets_a_cancellation_from_outside_through():
    async def scenario():
        async def block():
            async with Within(2.0, "the start", "start_timeout"):
                await HANG()

        task = asyncio.create_task(block())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(scenario)


def test_within_without_a_limit_waits():
    clock = VirtualClock()

    async def scenario():
        async with Within(None, "the start", "start_timeout"):
            await asyncio.sleep(1e6)

    run(scenario, clock=clock)
    assert clock.monotonic == 1e6
