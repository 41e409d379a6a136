"""Calls the handler a few times and sees what it leaves behind.

Every call gets the event anew and a context of its own, as on Lambda; the process is the same.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import time
from collections import deque
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import warmkit.slot
from warmkit import WarmkitError
from warmkit.local.doctor.finding import Place
from warmkit.local.doctor.held import Held, held_by, kind_of
from warmkit.local.doctor.source import is_own
from warmkit.local.target import shown, warm_handler_in

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from warmkit import Resource
    from warmkit.life import Life
    from warmkit.local.doctor.source import Source

_SIZED: tuple[type, ...] = (dict, list, set, deque, bytearray, str, bytes)


class Growth(NamedTuple):
    """Something that each call made larger.

    Attributes:
        held: What.
        sizes: After the first call and each later one.
    """

    held: Held
    sizes: tuple[int, ...]


class Unfinished(NamedTuple):
    """A task that outlives its call.

    Attributes:
        name: The coroutine's.
        place: Where it waits.
    """

    name: str
    place: Place


class Born(NamedTuple):
    """A resource's value, started.

    Attributes:
        resource: Its recipe.
        value: The value.
        closes: Something closes it.
    """

    resource: Resource[Any]
    value: object
    closes: bool


class Calls(NamedTuple):
    """What came of the calls.

    Attributes:
        number: How many there were.
        failed: The error of the last one, if it failed.
        growths: What grew.
        unfinished: Which tasks are left.
        born: Which resources were started.
        held: What the user's modules hold now.
    """

    number: int = 0
    failed: BaseException | None = None
    growths: tuple[Growth, ...] = ()
    unfinished: tuple[Unfinished, ...] = ()
    born: tuple[Born, ...] = ()
    held: tuple[Held, ...] = ()


class LambdaContext:
    """What a handler may ask of its context."""

    def __init__(self, number: int, seconds: float) -> None:
        """Begin its time.

        Args:
            number: The call's, from 1.
            seconds: The function's timeout.
        """
        self._ends = time.monotonic() + seconds
        self.aws_request_id = f"00000000-0000-4000-8000-{number:012}"
        self.function_name = "doctor"
        self.function_version = "$LATEST"
        self.memory_limit_in_mb = "128"
        self.invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:doctor"
        self.log_group_name = "/aws/lambda/doctor"
        self.log_stream_name = "doctor"
        self.identity = None
        self.client_context = None

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds that are left."""
        return max(0, int(1000 * (self._ends - time.monotonic())))


def make_calls(
    handler: Callable[..., object],
    sources: tuple[Source, ...],
    event: str,
    *,
    times: int,
    seconds: float,
    begin: Callable[[int], None],
) -> Calls:
    """Call a handler, and return what came of it.

    Args:
        handler: What Lambda would call.
        sources: The user's modules.
        event: As JSON.
        times: How often.
        seconds: The function's timeout.
        begin: Is told the number of each call before it.
    """
    sizes: list[dict[str, int]] = []
    settled: set[asyncio.Task[Any]] = set()
    born: list[Born] = []
    held: tuple[Held, ...] = ()
    with asyncio.Runner() as runner, _births(born), _closed_at_last(handler):
        call = _caller(handler, runner)
        for number in range(1, times + 1):
            begin(number)
            try:
                call(json.loads(event), LambdaContext(number, seconds))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's failure becomes data
                return Calls(number, error, born=tuple(born), held=held_by(sources))
            held = held_by(sources)
            sizes.append(_sizes(held))
            if number == 1:
                settled = _own_tasks()  # a resource's own, for as long as it lives
        unfinished = tuple(_unfinished(_own_tasks() - settled))
    return Calls(times, None, tuple(_grown(held, sizes)), unfinished, tuple(born), held)


def _caller(
    handler: Callable[..., object], runner: asyncio.Runner
) -> Callable[[object, LambdaContext], object]:
    warm = warm_handler_in(handler)
    if warm is None or not warm.is_stream:
        return handler

    async def read(event: object, context: LambdaContext) -> list[object]:
        return [chunk async for chunk in warm.stream(event, context)]

    return lambda event, context: runner.run(read(event, context))


@contextmanager
def _closed_at_last(handler: object) -> Generator[None]:
    """Let the resources end as they would: servers are told. A stream's end with the loop that reads it."""
    try:
        yield
    finally:
        warm = warm_handler_in(handler)
        if warm is not None and not warm.is_stream:
            with suppress(WarmkitError):
                warm.close()


@contextmanager
def _births(born: list[Born]) -> Generator[None]:
    """Note every resource that starts: only its life knows whether anything closes it."""
    module: Any = warmkit.slot
    begin = module.begin

    async def noted(resource: Resource[Any], arguments: Mapping[str, object]) -> Life:
        life: Life = await begin(resource, arguments)
        born.append(Born(resource, life.value, life.finish is not None))
        return life

    module.begin = noted
    try:
        yield
    finally:
        module.begin = begin


def _sizes(held: tuple[Held, ...]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for item in held:
        size = _size(item.value)
        if size is not None:
            sizes[item.path] = size
    return sizes


def _size(value: Any) -> int | None:
    kind = kind_of(value)
    if issubclass(kind, deque) and value.maxlen is not None:
        return None
    if issubclass(kind, _SIZED):
        base: Any = next(base for base in kind.__mro__ if base in _SIZED)
        return int(base.__len__(value))  # whatever a class of the user's says
    if kind.__name__ == "_lru_cache_wrapper" and value.cache_parameters()["maxsize"] is None:
        return int(value.cache_info().currsize)
    return None


def _grown(held: tuple[Held, ...], sizes: list[dict[str, int]]) -> Iterator[Growth]:
    """Yield what was larger after each call than after the one before. A cache is full after the first."""
    for item in held:
        found = tuple(after[item.path] for after in sizes if item.path in after)
        steps = list(pairwise(found))
        if len(found) == len(sizes) and steps and all(before < after for before, after in steps):
            yield Growth(item, found)


def _own_tasks() -> set[asyncio.Task[Any]]:
    """Return the tasks that run a coroutine of the user's, of every loop."""
    loops = [
        item
        for item in gc.get_objects()
        if issubclass(type(item), asyncio.AbstractEventLoop) and not item.is_closed()
    ]
    tasks = {task for loop in loops for task in asyncio.all_tasks(loop)}
    return {task for task in tasks if _is_own_coroutine(task.get_coro())}


def _is_own_coroutine(coroutine: Any) -> bool:
    return inspect.iscoroutine(coroutine) and is_own(coroutine.cr_code.co_filename)


def _unfinished(tasks: set[asyncio.Task[Any]]) -> Iterator[Unfinished]:
    for task in tasks:
        coroutine: Any = task.get_coro()
        if coroutine.cr_frame is not None:
            place = Place(shown(coroutine.cr_code.co_filename), coroutine.cr_frame.f_lineno)
            yield Unfinished(coroutine.__qualname__, place)
