"""What breakers do under asyncio, found out by asking them: the table of docs/explanation/breakers.md.

    WRITE_TABLE=1 python -m pytest tests/integration/test_breaker_comparison.py

writes it anew.
"""

from __future__ import annotations

import abc
import asyncio
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pybreaker
import pytest
import redis
from breakers import CONTENDERS, FAIL_MAX, RESET, turn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from breakers import Contender

    Ask = Callable[[Contender], Awaitable[str]]

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "breakers.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"
HOUR = 3600.0


async def fail() -> None:
    raise OSError


async def succeed() -> None:
    pass


async def attempt(contender: Contender, function: Any = succeed) -> str:
    """Whether a call passed, was rejected, or failed by itself."""
    try:
        await contender.call(function)
    except contender.rejections:
        return "rejected"
    except OSError:
        return "failed"
    return "passed"


async def open_up(contender: Contender) -> bool:
    """Whether it could be opened by failures."""
    for _ in range(FAIL_MAX):
        await attempt(contender, fail)
    return contender.state() == "open"


async def begin(contender: Contender, function: Any) -> asyncio.Task[str]:
    task = asyncio.create_task(attempt(contender, function))
    await turn()
    return task


async def cancel(task: asyncio.Task[str]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# -- the questions


async def opens(contender: Contender) -> str:
    return "yes" if await open_up(contender) else "**never**"


async def tasks_wait(contender: Contender) -> str:
    release = asyncio.Event()
    slow = await begin(contender, release.wait)
    quick = await begin(contender, succeed)
    waits = not quick.done()
    release.set()
    await asyncio.gather(slow, quick)
    return "**yes**" if waits else "no"


async def threads_wait(contender: Contender) -> str:
    inside, release = threading.Event(), threading.Event()

    def slow() -> None:
        inside.set()
        release.wait(10)

    threads = [threading.Thread(target=contender.call_in_thread, args=[slow])]
    threads[0].start()
    inside.wait(10)
    threads.append(threading.Thread(target=contender.call_in_thread, args=[lambda: None]))
    threads[1].start()
    threads[1].join(1.0)  # only one that is held up takes it
    waits = threads[1].is_alive()
    release.set()
    for thread in threads:
        thread.join()
    return "**yes**" if waits else "no"


async def trials(contender: Contender) -> str:
    if not await open_up(contender):
        return "never opens"
    contender.pass_time(RESET + 1)
    reached = []
    release = asyncio.Event()

    async def service() -> None:
        reached.append(1)
        await release.wait()

    calls = [asyncio.create_task(attempt(contender, service)) for _ in range(10)]
    await turn()
    release.set()
    await asyncio.gather(*calls)
    return str(len(reached)) if len(reached) == 1 else f"**{len(reached)}**"


async def cancelled_counts(contender: Contender) -> str:
    if not await open_up(contender):
        return "never opens"
    contender.pass_time(RESET + 1)
    assert await attempt(contender) == "passed"
    assert contender.state() == "closed"
    for _ in range(FAIL_MAX):
        await cancel(await begin(contender, asyncio.Event().wait))
    return "no" if contender.state() == "closed" else "**yes**"


async def after_cancelled_trial(contender: Contender) -> str:
    if not await open_up(contender):
        return "never opens"
    contender.pass_time(RESET + 1)
    await cancel(await begin(contender, asyncio.Event().wait))
    if await attempt(contender) == "passed":
        return "next call tries"
    contender.pass_time(RESET + 1)
    recovers = await attempt(contender) == "passed"
    return "open for another `reset_timeout`" if recovers else "**wedged**"


async def after_clock_set_back(contender: Contender) -> str:
    if not await open_up(contender):
        return "never opens"
    contender.set_back(HOUR)
    contender.pass_time(RESET + 1)
    if await attempt(contender) == "passed":
        return "`reset_timeout`"
    contender.pass_time(HOUR)
    assert await attempt(contender) == "passed"
    return "**an hour more**"


async def old_success(contender: Contender) -> str:
    release_old, release_trial = asyncio.Event(), asyncio.Event()
    old = await begin(contender, release_old.wait)
    if not await open_up(contender):
        await cancel(old)
        return "never opens"
    contender.pass_time(RESET + 1)
    trial = await begin(contender, release_trial.wait)
    release_old.set()
    await old
    closed = contender.state() == "closed"
    release_trial.set()
    await trial
    return "**yes**" if closed else "no"


async def hidden_error(contender: Contender) -> str:
    outcomes = [await attempt(contender, fail) for _ in range(FAIL_MAX)]
    if contender.state() != "open":
        return "never opens"
    return "its own error" if outcomes[-1] == "failed" else "the breaker's"


QUESTIONS: dict[str, Ask] = {
    "an `async def` that fails `fail_max` times opens it": opens,
    "the call that opens it raises": hidden_error,
    "a slow call holds up others, in tasks": tasks_wait,
    "a slow call holds up others, in threads": threads_wait,
    "half-open, ten at once: calls that get through": trials,
    "a cancelled call is counted as a failure": cancelled_counts,
    "after a cancelled trial": after_cancelled_trial,
    "an older call that ends well during the trial closes it": old_success,
    "wall clock set back an hour while open: open for": after_clock_set_back,
}


def ask(question: Ask, kind: type[Any]) -> str:
    with pytest.MonkeyPatch.context() as monkeypatch:
        return asyncio.run(question(kind(monkeypatch)))


def make_table() -> str:
    head = ["", *CONTENDERS]
    rows = [
        [text, *(ask(question, kind) for kind in CONTENDERS.values())]
        for text, question in QUESTIONS.items()
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def test_the_table_in_the_docs_is_what_the_breakers_do() -> None:
    table = make_table()
    before, _, rest = PAGE.read_text().partition(BEGIN)
    found, _, after = rest.partition(END)
    if os.environ.get("WRITE_TABLE"):
        PAGE.write_text(before + BEGIN + table + END + after)
        return
    assert found == table


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=lambda question: question.__name__)
def test_warmkits_answer_is_the_right_one(question: Ask) -> None:
    assert "**" not in ask(question, CONTENDERS["warmkit"])


# -- what the page says of pybreaker's insides


class BusinessError(Exception, metaclass=abc.ABCMeta):
    pass


class Deaf(pybreaker.CircuitBreakerListener):
    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        raise ZeroDivisionError


class AwayFromTheStart:
    """A Redis client that lost its server as soon as it was made."""

    def setnx(self, key: str, value: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        def call(*_: object, **__: object) -> None:
            raise redis.ConnectionError

        return call


def fail_plainly() -> None:
    raise OSError


def test_pybreaker_calls_an_excluded_type_that_has_a_metaclass() -> None:
    assert not pybreaker.CircuitBreaker(exclude=[BusinessError]).is_system_error(OSError())


def test_a_listener_that_raises_keeps_pybreakers_circuit_from_opening() -> None:
    breaker = pybreaker.CircuitBreaker(fail_max=1, listeners=[Deaf()])
    with pytest.raises(ZeroDivisionError):
        breaker.call(fail_plainly)
    assert breaker.current_state == "closed"


def test_pybreaker_resets_a_counter_when_it_notices_what_another_did() -> None:
    storage = pybreaker.CircuitMemoryStorage("closed")
    one, two = (pybreaker.CircuitBreaker(2, state_storage=storage) for _ in range(2))
    two.open()
    assert one.state.name == "open"
    two.close()
    with pytest.raises(OSError):  # noqa: PT011  its own, with no text
        two.call(fail_plainly)
    assert (one.state.name, one.fail_counter) == ("closed", 0)


def test_pybreaker_calls_itself_for_ever_without_its_redis() -> None:
    storage = pybreaker.CircuitRedisStorage("closed", AwayFromTheStart(), None, "open")
    storage.logger.disabled = True
    try:
        with pytest.raises(RecursionError):
            pybreaker.CircuitBreaker(state_storage=storage).call(int)
    finally:
        storage.logger.disabled = False
