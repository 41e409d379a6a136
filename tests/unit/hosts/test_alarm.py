"""A plain function whose time is up is ended by a signal: in the main thread, where nobody else uses it."""

import asyncio
import signal
import threading
import time

import pytest

from warmkit import DeadlineError, warm_handler
from warmkit.hosts.alarm import Alarm
from warmkit.hosts.loop import persistent_loop

LONG = 3600


class Context:
    aws_request_id = "r-1"

    def __init__(self, seconds):
        self.seconds = seconds

    def get_remaining_time_in_millis(self):
        return int(1000 * self.seconds)


@pytest.fixture(autouse=True)
def no_alarm_is_left():
    yield
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_plain_handler_that_does_not_end_is_ended_and_the_next_is_served(host):
    @warm_handler
    def handler(event, context):
        if event == "sleep":
            time.sleep(LONG)
        return "done"

    with pytest.raises(DeadlineError):
        handler("sleep", Context(0.05))
    assert handler("go", Context(LONG)) == "done"


def test_what_it_returns_to_be_awaited_is_ended_too(host):
    @warm_handler
    def handler(event, context):
        return asyncio.sleep(LONG)

    with pytest.raises(DeadlineError):
        handler(None, Context(0.05))


def test_one_that_ends_in_time_is_left_alone():
    with Alarm(LONG, 0.5):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0


def test_a_signal_on_the_last_step_changes_nothing():
    alarm = Alarm(LONG, 0.5)
    with alarm:
        strike = signal.getsignal(signal.SIGALRM)
    strike(signal.SIGALRM, None)


def test_no_time_at_all_is_not_for_ever():
    with pytest.raises(DeadlineError), Alarm(0, 0):
        time.sleep(LONG)


def test_a_time_longer_than_any_timer_is_no_error():
    with Alarm(float("inf"), 0.5):
        pass


def test_one_that_strikes_on_the_way_out_leaves_the_signal_to_the_next():
    alarm = Alarm(LONG, 0.5)
    alarm.__enter__()
    with pytest.raises(DeadlineError):
        signal.raise_signal(
            signal.SIGALRM
        )  # and the block is never left: it was, or was not yet entered
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_it_strikes_no_task_of_the_loop_that_lives_on(host):
    seen = []

    async def work():
        signal.raise_signal(signal.SIGALRM)
        seen.append("the task goes on")

    def block():
        persistent_loop().run(work())
        time.sleep(LONG)  # it looks again, and now the loop stands still

    with pytest.raises(DeadlineError), Alarm(LONG, 0.5):
        block()
    assert seen == ["the task goes on"]


def test_an_alarm_of_the_users_own_is_respected():
    struck = []
    signal.signal(signal.SIGALRM, lambda *_: struck.append("theirs"))
    try:
        with Alarm(0.001, 0.5):
            assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
            signal.raise_signal(signal.SIGALRM)
        assert struck == ["theirs"]
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_what_takes_over_the_alarm_meanwhile_keeps_it():
    def theirs(*_):
        raise AssertionError("too early")

    try:
        with Alarm(LONG, 0.5):
            signal.signal(signal.SIGALRM, theirs)
            signal.setitimer(signal.ITIMER_REAL, LONG)
        assert signal.getsignal(signal.SIGALRM) is theirs
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_another_thread_has_none():
    seen = []

    def work():
        with Alarm(0.001, 0.5):
            seen.append(signal.getsignal(signal.SIGALRM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
