"""The rules of a life: how a resource starts, once and everywhere, and how it ends, leaving nothing."""

import asyncio
from contextlib import suppress

from warmkit import EventKind, TeardownError
from warmkit.testing.conformance.leaks import settled_on_loop, tasks_left
from warmkit.testing.conformance.report import told
from warmkit.testing.conformance.rule import rule, with_secrets, with_server
from warmkit.testing.conformance.secrets import shown_secrets
from warmkit.testing.conformance.world import Finding, World, listed

_TOGETHER = 10
_STEPS = 12
"""How many places of a start are interrupted: more answers, or turns of the loop, than a start usually takes."""

_TURNS = 10
"""Of the loop, for whoever has sent something to wait for the answer: Python 3.11's `wait_for` loses a cancellation that
comes in between."""

# -- it starts


@rule(
    "starts",
    write="make the resource, or `use`, work against the server as it is: nothing is broken yet.",
)
def starts(world: World) -> None:
    """The first invocation starts it, and `use` works with its value."""
    world.call()
    if world.relay is not None and not world.relay.connections:
        raise Finding(
            "nothing connected to the address that `make` was given",
            "make=lambda address: search_client(f'http://{address}'), and a `use` that sends a request.",
        )


@rule(
    "starts once",
    write="yield one value, and make nothing anew on use; an `alive` must be true of a value that works.",
)
def starts_once(world: World) -> None:
    """Ten invocations that use it first, side by side, and two after them share one start."""
    world.call(times=_TOGETHER)
    world.call()
    world.call()
    starts, values = world.count(EventKind.STARTED), len({id(value) for value in world.values})
    if (starts, values) != (1, 1):
        raise Finding(f"{starts} starts, and {values} values")


@rule(
    "starts on another loop",
    write="make everything that belongs to an event loop (clients, locks, tasks) inside the factory, and keep none of "
    "it outside: neither in a module, nor in the recipe.",
)
def starts_on_another_loop(world: World) -> None:
    """The same recipe works in a second environment, on another event loop, after the first has ended."""
    world.call(times=_TOGETHER)  # a lock belongs to a loop once somebody had to wait for it
    world.start_anew()
    world.call(times=_TOGETHER)
    world.call()


@rule(
    "shares nothing",
    write="make a value of its own for each start: what one environment closes must not be another's.",
)
def shares_nothing(world: World) -> None:
    """Two environments use the same recipe side by side, and one of them goes on when the other has ended."""
    other = world.new_environment()
    world.call()
    world.call(other)
    world.close(world.environment)
    before = world.count(EventKind.STARTED)
    world.call(other)
    if world.count(EventKind.STARTED) != before:
        raise Finding("the other environment's value was dead as well, and had to be made anew")


# -- it ends


@rule(
    "closes",
    write="close after the yield, and await it:\n"
    "client = Client(...)\n"
    "try:\n"
    "    yield client\n"
    "finally:\n"
    "    await client.aclose()",
)
def closes(world: World) -> None:
    """Closed with its environment, within close_timeout, it leaves nothing open and nothing running."""
    world.call(times=_TOGETHER)
    world.call()
    world.close(world.environment)
    for error in world.teardown_errors:
        raise Finding(" ".join(told(each) for each in error.exceptions), error=error)
    world.end_without_leaks()


@rule(
    "closes in silence",
    write="what a farewell cannot reach must be cut: let the cancellation at close_timeout through, and close the "
    "socket in a `finally` that awaits nothing (transport.abort(), terminate()).",
    exempt=with_server,
)
def closes_in_silence(world: World) -> None:
    """Closed while the server is silent, it leaves nothing open and nothing running when close_timeout is over."""
    world.call()
    world.silence()
    world.end_without_leaks()


@rule(
    "gives up a start",
    write="open in a `try` whose `finally` closes, or enter an AsyncExitStack first; and let CancelledError through:\n"
    "client = Client(...)\n"
    "try:\n"
    "    await client.connect()\n"
    "    yield client\n"
    "finally:\n"
    "    await client.aclose()",
)
def gives_up_a_start(world: World) -> None:
    """A start that is cancelled, wherever it is, leaves nothing open and nothing running."""
    for step in range(_STEPS):
        finished = world.drive(_begin_and_close(world, step))
        if world.relay is not None:
            world.bring_server_back()
            world.relay.cut()
        if finished:
            break
    world.end_without_leaks()


@rule(
    "keeps secrets",
    write="catch the client's error, and raise one of your own `from None` that names the server only; pass secrets in "
    "functions or objects that do not print them.",
    exempt=with_secrets,
)
def keeps_secrets(world: World) -> None:
    """No secret is shown: neither by the recipe, nor by errors, events and logs while the server fails."""
    if world.relay is not None:
        world.take_server_away()
        world.attempt()
        world.bring_server_back()
        world.silence()
        world.attempt()
        world.bring_server_back()
    world.attempt()
    world.close(world.environment)
    if shown := shown_secrets(world):
        raise Finding(shown)


# -- interrupting a start


async def _begin_and_close(world: World, step: int) -> bool:
    """Closes an environment in the middle of a start; returns whether it had started before."""
    environment = world.new_environment()
    if world.relay is not None:
        world.relay.hang(after=step)
    start = asyncio.create_task(environment.get(world.recipe))
    await _until_stuck(world, start, step)
    finished = start.done()
    world.loop.hurried = world.relay is not None  # nothing will arrive
    with suppress(
        TeardownError
    ):  # what goes on all the same is found: as a task, or by what it holds
        await environment.aclose()
    await _has_ended(start)
    return finished


async def _until_stuck(world: World, start: asyncio.Task[object], step: int) -> None:
    relay = world.relay
    while relay and not (start.done() or relay.holding):  # noqa: ASYNC110  it is another thread that holds
        await asyncio.sleep(0)
    for _ in range(
        _TURNS if relay else step + 2
    ):  # + 2: for the start's own task, and that of the life
        await asyncio.sleep(0)


async def _has_ended(start: asyncio.Task[object]) -> None:
    known = [start, *filter(None, [asyncio.current_task()])]
    if left := await settled_on_loop(lambda: tasks_left(known)):
        raise Finding(f"it went on although it was cancelled: {listed(left)}")
    await asyncio.wait({start})
    if not start.cancelled():
        start.exception()  # is seen
