"""The shapes that a factory can have, each from its start to its end."""

import asyncio
from contextlib import asynccontextmanager, contextmanager

import pytest

from warmkit import Environment, StartError, TeardownError, YieldError, resource
from warmkit.life import Life, begin
from warmkit.testing import run


class Connection:
    """Like a library's: awaitable, usable with `async with`, entered or not."""

    def __init__(self, log):
        self.log = log

    async def __aenter__(self):
        self.log.append("entered")
        return self

    async def __aexit__(self, kind, error, traceback):
        self.log.append(f"left {error!r}")


def shapes(log):
    async def async_generator():
        log.append("start")
        yield "value"
        log.append("close")

    def generator():
        log.append("start")
        yield "value"
        log.append("close")

    @asynccontextmanager
    async def async_context():
        log.append("start")
        yield "value"
        log.append("close")

    @contextmanager
    def context():
        log.append("start")
        yield "value"
        log.append("close")

    async def coroutine_to_context():
        return async_context()

    return [async_generator, generator, async_context, context, coroutine_to_context]


@pytest.mark.parametrize("shape", range(5))
def test_what_stands_after_the_yield_runs_at_the_end_once(shape, inside):
    log = []
    made = resource(shapes(log)[shape])

    @inside
    async def scenario(environment):
        assert await environment.get(made) == "value"
        assert await environment.get(made) == "value"
        log.append("in use")

    assert log == ["start", "in use", "close"]


@pytest.mark.parametrize("shape", range(5))
def test_the_end_sees_the_exception_and_does_not_raise_it_again(shape):
    log = []
    error = ValueError("the handler's")

    async def scenario():
        life = await begin(resource(shapes(log)[shape]), {})
        await life.finish(error)

    run(scenario)
    assert log == ["start"]  # a plain yield without try runs nothing after an exception


def plain():
    return "value"


async def plain_async():
    return "value"


@pytest.mark.parametrize("factory", [plain, plain_async, lambda: "value"])
def test_a_plain_value_has_no_end(factory):
    assert run(begin(resource(factory), {})) == Life("value")


def test_a_context_manager_is_entered_and_left(inside):
    log = []
    made = resource(lambda: Connection(log))

    @inside
    async def scenario(environment):
        assert isinstance(await environment.get(made), Connection)

    assert log == ["entered", "left None"]


def test_a_context_manager_is_handed_out_as_it_is_if_it_is_not_to_be_entered(inside):
    log = []
    made = resource(enter=False)(lambda: Connection(log))

    @inside
    async def scenario(environment):
        await environment.get(made)

    assert log == []


def test_an_instance_method_and_a_partial_are_factories():
    from functools import partial

    class Settings:
        url = "postgres://"

        def connect(self):
            return self.url

    async def of(prefix, suffix="!"):
        return prefix + suffix

    assert run(begin(resource(Settings().connect), {})).value == "postgres://"
    assert run(begin(resource(name="p")(partial(of, "a")), {})).value == "a!"


def yields_never():
    return
    yield


async def yields_never_async():
    return
    yield


def yields_twice():
    yield 1
    yield 2


async def yields_twice_async():
    yield 1
    yield 2


@pytest.mark.parametrize("factory", [yields_never, yields_never_async])
def test_a_generator_that_yields_never_is_an_error_at_its_start(factory, inside):
    @inside
    async def scenario(environment):
        with pytest.raises(StartError) as raised:
            await environment.get(resource(name="db")(factory))
        cause = raised.value.__cause__
        assert isinstance(cause, YieldError)
        assert str(cause) == (
            "resource 'db' yielded never.\n"
            "  Yield the value exactly once: what stands before the yield starts it, "
            "what stands after closes it."
        )


@pytest.mark.parametrize("factory", [yields_twice, yields_twice_async])
def test_a_generator_that_yields_twice_is_an_error_at_its_end(factory):
    async def scenario():
        environment = Environment()
        assert await environment.get(resource(name="db")(factory)) == 1
        with pytest.raises(TeardownError) as raised:
            await environment.aclose()
        (error,) = raised.value.exceptions
        assert (
            str(error)
            .partition("\n")[0]
            .endswith("YieldError: resource 'db' yielded more than once.")
        )

    run(scenario)


def test_a_start_that_is_cancelled_half_way_leaves_as_its_own_code_says(inside, clock):
    log = []

    @resource(start_timeout=2)
    async def db():
        log.append("connect")
        try:
            await asyncio.sleep(100)
            yield "never"
        finally:
            log.append("disconnect")

    @inside
    async def scenario(environment):
        with pytest.raises(StartError):
            await environment.get(db)
        assert log == ["connect", "disconnect"]

    assert log == ["connect", "disconnect"]


def test_a_value_starts_and_closes_in_one_task(inside):
    """As the cancel scopes of anyio and `asyncio.TaskGroup` demand."""
    tasks = []

    @resource
    async def db():
        tasks.append(asyncio.current_task())
        async with asyncio.TaskGroup():
            yield "value"
        tasks.append(asyncio.current_task())

    @inside
    async def scenario(environment):
        await environment.get(db)

    assert len(tasks) == 2
    assert tasks[0] is tasks[1]
