"""Signals are obeyed where nothing is half done, and nowhere else."""

import signal
from concurrent.futures import Future

import pytest

from warmkit.local.demo.interrupts import Interrupted, Interrupts


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_kept_until_it_is_asked_for(number, status):
    with Interrupts() as interrupts:
        interrupts.obey()
        signal.raise_signal(number)  # raises nothing here
        with pytest.raises(Interrupted):
            interrupts.obey()
    assert interrupts.status == status


def test_the_first_signal_decides():
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert interrupts.status == 130


def test_the_handlers_before_are_given_back():
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    with Interrupts():
        assert [signal.getsignal(number) for number in numbers] != before
    assert [signal.getsignal(number) for number in numbers] == before


def test_jobs_come_as_they_are_done():
    first, second = Future(), Future()
    jobs = Interrupts().as_completed([first, second])
    second.set_result(2)
    assert next(jobs) is second
    first.set_result(1)
    assert list(jobs) == [first]


def test_a_signal_ends_the_wait_for_a_job():
    with Interrupts() as interrupts:
        jobs = interrupts.as_completed([Future()])
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted):
            next(jobs)


def test_a_signal_during_the_wait_ends_it():
    never = Future()
    with Interrupts() as interrupts:
        timer = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        try:
            with pytest.raises(Interrupted):
                list(interrupts.as_completed([never]))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, timer)
