"""What is kept is sent before a freeze, within a budget, and a collector that hangs costs it once."""

import asyncio
import logging
import os
import threading

import pytest

from warmkit.resources.otel import flush as flush_module
from warmkit.resources.otel.flush import Flusher
from warmkit.testing import run

FOREVER = 60.0
"""A budget that no test uses up."""


class Provider:
    """Sends when asked; hangs while its gate is closed."""

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.begun = []
        self.sent = 0
        self.threads = set()

    def force_flush(self):
        self.begun.append(threading.current_thread())
        self.gate.wait(FOREVER)
        self.sent += 1


@pytest.fixture
def provider():
    provider = Provider()
    yield provider
    provider.gate.set()


async def beginning(provider, count):
    """Returns when so many flushes have begun."""
    while len(provider.begun) < count:  # noqa: ASYNC110  a thread's doing, of which no event tells
        await asyncio.sleep(0)


def test_what_is_kept_has_been_sent_when_it_returns_in_one_thread_that_holds_up_no_exit(provider):
    flusher = Flusher(FOREVER, lambda: [provider.force_flush])

    async def main():
        sent = []
        for _ in range(3):
            await flusher.flush()
            sent.append(provider.sent)
        return sent

    assert asyncio.run(main()) == [1, 2, 3]
    assert len(set(provider.begun)) == 1
    assert provider.begun[0].daemon
    assert provider.begun[0] is not threading.main_thread()


def test_a_flush_that_hangs_costs_its_budget_once_and_no_second_one_begins(provider, clock):
    flusher = Flusher(0.25, lambda: [provider.force_flush])
    provider.gate.clear()

    async def main():
        costs = []
        for _ in range(3):
            began = asyncio.get_running_loop().time()
            await flusher.flush()
            costs.append(asyncio.get_running_loop().time() - began)
        await beginning(provider, 1)
        return costs

    assert run(main, clock=clock) == pytest.approx([0.25, 0.0, 0.0])
    assert len(provider.begun) == 1


def test_when_the_one_that_hung_is_done_the_next_is_waited_for_again(provider):
    flusher = Flusher(0.0, lambda: [provider.force_flush])
    patient = Flusher(FOREVER, lambda: [provider.force_flush])
    provider.gate.clear()

    async def main():
        await flusher.flush()
        await flusher.flush()  # it hangs: this asks for nothing
        provider.gate.set()
        while flusher._worker.hangs:  # noqa: ASYNC110  a thread's doing
            await asyncio.sleep(0)
        assert provider.sent == 1
        await flusher.flush()
        await beginning(provider, 2)
        await patient.flush()

    asyncio.run(main())


def test_those_who_come_during_a_flush_wait_for_one_that_begins_after_they_came(provider):
    flusher = Flusher(FOREVER, lambda: [provider.force_flush])
    provider.gate.clear()

    async def main():
        first = asyncio.create_task(flusher.flush())
        await beginning(provider, 1)
        later = [asyncio.create_task(flusher.flush()) for _ in range(5)]
        await asyncio.sleep(0)
        provider.gate.set()
        await asyncio.gather(first, *later)
        return provider.sent

    assert asyncio.run(main()) == 2


def test_one_that_is_cancelled_while_it_waits_counts_as_given_up(provider):
    flusher = Flusher(FOREVER, lambda: [provider.force_flush])
    provider.gate.clear()

    async def main():
        task = asyncio.create_task(flusher.flush())
        await beginning(provider, 1)
        task.cancel()
        await asyncio.wait([task])
        await flusher.flush()
        return len(provider.begun)

    assert asyncio.run(main()) == 1


def test_a_loop_that_has_gone_meanwhile_harms_nobody(provider):
    flusher = Flusher(0.0, lambda: [provider.force_flush])
    provider.gate.clear()
    asyncio.run(flusher.flush())
    provider.gate.set()

    async def main():
        while flusher._worker.hangs:  # noqa: ASYNC110  a thread's doing
            await asyncio.sleep(0)
        await flusher.flush()
        await beginning(provider, 2)

    asyncio.run(main())


def test_what_fails_is_not_told_twice_and_the_others_still_send(provider, caplog):
    caplog.set_level(logging.INFO)

    def fails():
        raise OSError("the collector is down")

    flusher = Flusher(FOREVER, lambda: [fails, provider.force_flush])
    asyncio.run(flusher.flush())
    asyncio.run(flusher.flush())
    assert provider.sent == 2
    assert caplog.records == []


def test_where_no_thread_can_be_started_any_more_nothing_is_sent(provider, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(flush_module.threading.Thread, "start", refuse)
    asyncio.run(Flusher(FOREVER, lambda: [provider.force_flush]).flush())
    assert provider.sent == 0


def test_a_forked_child_has_a_thread_of_its_own(program):
    done = program("""
import asyncio, os, warnings
from warmkit.resources.otel.flush import Flusher

warnings.simplefilter("ignore", DeprecationWarning)  # a fork where threads are: it is what this is about
sent = []
flusher = Flusher(60.0, lambda: [lambda: sent.append(os.getpid())])
asyncio.run(flusher.flush())
child = os.fork()
if not child:
    asyncio.run(flusher.flush())
    os._exit(0 if sent[-1] == os.getpid() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""")
    assert (done.stdout, done.stderr, done.returncode) == ("0\n", "", 0)


def test_a_thread_that_hangs_holds_up_no_exit(program):
    done = program("""
import asyncio, threading
from warmkit.resources.otel.flush import Flusher

asyncio.run(Flusher(0.0, lambda: [threading.Event().wait]).flush())
print(threading.active_count(), flush=True)
""")
    assert (done.stdout, done.stderr, done.returncode) == ("2\n", "", 0)


def test_several_loops_in_threads_of_their_own_are_all_answered(provider):
    flusher = Flusher(FOREVER, lambda: [provider.force_flush])
    over = []

    def use():
        asyncio.run(flusher.flush())
        over.append(os.getpid())

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(over) == 8
