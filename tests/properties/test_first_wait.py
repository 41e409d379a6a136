"""A handler's deadline begins with its first wait, and nobody who awaits the handler can tell that from a plain await.

The same handler is driven by hand, twice, step by step as an event loop and its tasks do: once awaited plainly, once by an invocation.
"""

import asyncio

from hypothesis import example, given
from hypothesis import strategies as st

from warmkit import Environment
from warmkit.visit import Visit

ERRORS = (ValueError, asyncio.CancelledError, KeyboardInterrupt, GeneratorExit, StopAsyncIteration)
errors = st.sampled_from(ERRORS)
waits = st.tuples(st.just("wait"), st.sampled_from(["raise", "swallow", "return", "replace"]))
raises = st.tuples(st.just("raise"), errors)
programs = st.lists(st.one_of(waits, waits, waits, raises), max_size=5)
drives = st.lists(
    st.one_of(st.just(("send",)), st.tuples(st.just("throw"), errors), st.just(("close",))),
    max_size=8,
)


class Waits:
    """Suspends once, as a future does."""

    def __init__(self, number):
        self.number = number

    def __await__(self):
        return (yield self.number)


async def handler(program, seen):
    for number, (what, how) in enumerate(program):
        if what == "raise":
            raise how(number)
        try:
            seen.append(await Waits(number))
        except BaseException as error:
            seen.append(type(error))
            if how == "return":
                return number
            if how == "replace":
                raise RuntimeError(number) from error
            if how == "raise" or isinstance(error, GeneratorExit):  # who is closed, must not wait
                raise
    seen.append("whole")
    return len(program)


async def awaited(work):
    return await work


async def visited(work):
    visit = Visit(Environment(), None, None, ())
    return await visit.within(0.5, work)


def told(error):
    """What can be seen of an error: what it is, where it comes from, and what was being handled."""
    seen = []
    while error is not None and len(seen) < 10:
        seen.append((type(error), error.args))
        error = error.__cause__ or error.__context__
    return seen


def story(served, program, drive):
    seen = []
    work = served(handler(program, seen))
    try:
        seen.append(("waits for", work.send(None)))
        for what, *how in [*drive, ("close",)]:
            if what == "send":
                seen.append(("waits for", work.send(None)))
            elif what == "throw":
                seen.append(("waits for", work.throw(how[0]("thrown"))))
            else:
                seen.append(("closed", work.close()))
    except StopIteration as done:
        seen.append(("returned", done.value))
    except BaseException as error:  # noqa: BLE001  it is what is asked for
        seen.append(("raised", told(error)))
    return seen


@given(programs, drives)
@example([("wait", "swallow"), ("raise", ValueError)], [("throw", asyncio.CancelledError)])
@example([("wait", "swallow"), ("wait", "raise")], [("throw", ValueError), ("close",)])
@example([("wait", "return")], [("throw", asyncio.CancelledError)])
@example([("wait", "replace")], [])
def test_a_handler_is_driven_as_by_a_plain_await(program, drive):
    assert story(visited, program, drive) == story(awaited, program, drive)
