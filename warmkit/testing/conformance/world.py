"""A fresh world for one rule: a recipe, an environment and its loop, and the network in front of the server.

The loop stands still between invocations, as under a synchronous host; the environment's gaps are virtual. It
knows public warmkit, and nothing of the rules.
"""

import asyncio
import gc
import inspect
from collections.abc import Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from warmkit import Environment, EventKind, Resource, TeardownError, UsageError, warm_handler
from warmkit.recipe import is_resource
from warmkit.testing.clock import VirtualClock
from warmkit.testing.conformance import leaks
from warmkit.testing.conformance.leaks import Ledger, settled_on_loop, sockets_to, tasks_left
from warmkit.testing.conformance.loop import PacedLoop
from warmkit.testing.recorder import EventRecorder
from warmkit.testing.relay import Address, Relay

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds, beyond the resource's own deadlines, that an invocation may wait for a silent server: they are skipped."""

_REAL_PATIENCE = 5.0  # the same while the server answers; these are not skipped

_IN_PASSING = 0.05
"""Real seconds for what was told to go, where nobody will be blamed if it does not."""


class Subject(NamedTuple):
    """What is examined.

    Attributes:
        make: Makes the recipe, for the address of the server if there is one.
        use: What a handler does with the value.
        server: The real server; None: there is none.
        secrets: What nothing may show.
    """

    make: Callable[..., Resource[Any]]
    use: Callable[[Any], object]
    server: Address | None
    secrets: tuple[str, ...]


class Finding(Exception):  # noqa: N818  a rule is broken: what a rule's body ends with
    """A rule is broken.

    Attributes:
        came: What happened.
        write: What to write instead; empty: the rule's own advice.
        error: What was raised, if something was.
    """

    def __init__(self, came: str, write: str = "", error: BaseException | None = None) -> None:
        super().__init__(came)
        self.came = came
        self.write = write
        self.error = error


class World:
    """A recipe's own world. As a context manager it leaves nothing behind, not even what the resource left.

    Attributes:
        recipe: The recipe.
        relay: The network in front of the server; None: there is no server.
        clock: Where the environments take their gaps from.
        environment: The one in which `call` invokes.
        recorder: What happened in all environments.
        values: What the handler was given, in order.
        errors: What invocations raised.
        teardown_errors: What did not close.
    """

    def __init__(self, subject: Subject, ledger: Ledger) -> None:
        self._subject = subject
        self._ledger = ledger
        self._answers: list[object] = []
        self._ended = False
        self.relay = Relay(subject.server) if subject.server is not None else None
        try:
            self.recipe = make_recipe(subject, self.relay.address if self.relay else None)
        except BaseException:
            self._close_relay()
            raise
        self.clock = VirtualClock()
        self.recorder = EventRecorder()
        self.values: list[object] = []
        self.errors: list[BaseException] = []
        self.teardown_errors: list[TeardownError] = []
        self.handler = warm_handler(resource=self.recipe)(self._handler())
        self.loop = self._new_loop()
        self.environment = self.new_environment()

    def __enter__(self) -> Self:
        """Returns it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends it, without a look at what it leaves behind."""
        if not self._ended:
            self._end_loop()
            self._close_relay()
        self.values.clear()  # a traceback may hold on to this world
        gc.collect()

    # -- invocations

    def call(self, environment: Environment | None = None, *, times: int = 1) -> None:
        """Serves invocations, side by side, and then lets the loop stand still.

        A single one begins in the loop's first turn, as under a synchronous host: the loop has noticed nothing yet.

        Args:
            environment: Where; None: in the world's own.
            times: How many.

        Raises:
            Finding: One did not end, or `use` returned something else than before.
            Exception: Whatever one raises.
        """
        where = environment or self.environment
        calls = [self.handler.invoke_in(where, {}, None) for _ in range(times)]
        try:
            self.drive(_gathered(calls) if times > 1 else calls[0])
        except Exception as error:
            self.errors.append(error)
            raise
        for answer in self._answers:
            if answer != self._answers[0]:
                raise Finding(
                    f"`use` returned {answer!r}, and {self._answers[0]!r} the first time",
                    "let `use` do the same and return the same each time, as a query of constants does.",
                )

    def attempt(self) -> BaseException | None:
        """Serves an invocation; returns what it raised, if it did."""
        try:
            self.call()
        except Finding:
            raise
        except Exception as error:  # noqa: BLE001  it is looked at
            return error
        return None

    def drive(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine on the world's loop.

        Raises:
            Finding: It did not end.
            Exception: Whatever it raises.
        """
        patience = PATIENCE if self.loop.hurried else _REAL_PATIENCE
        return self.loop.run_until_complete(_within(self.deadlines + patience, work))

    @property
    def secrets(self) -> tuple[str, ...]:
        """What nothing may show."""
        return self._subject.secrets

    @property
    def logs(self) -> list[str]:
        """What was logged."""
        return self._ledger.logs

    @property
    def deadlines(self) -> float:
        """Seconds that the resource, and what it is built on, may take to check and start."""
        options = [resource.options for resource in self.handler.graph.environment]
        return sum(option.check_timeout + option.start_timeout for option in options)

    def count(self, kind: EventKind) -> int:
        """Returns how often this happened to the resource itself."""
        events = self.recorder.of(kind)
        return len([event for event in events if event.resource == self.recipe.name])

    def let_loop_run(self) -> None:
        """Lets the loop notice what the network has said."""
        for _ in range(5):  # a reader, its protocol's callback, and what those wake
            self.drive(asyncio.sleep(0))

    # -- the network

    @property
    def network(self) -> Relay:
        """The relay, for rules that need a server."""
        assert self.relay is not None
        return self.relay

    def silence(self) -> None:
        """The server falls silent: connections open, and nothing comes back."""
        self.network.hang()
        self.loop.hurried = True

    def take_server_away(self) -> None:
        """The server is gone: its connections are reset, and new ones refused."""
        self.network.refuse()
        self.network.cut()
        self.loop.hurried = True

    def bring_server_back(self) -> None:
        """The server is reachable again."""
        self.network.resume()
        self.network.accept()
        self.loop.hurried = False

    def connections(self) -> list[str]:
        """Returns what is connected to the server, when all that is being closed is closed."""
        return self.drive(settled_on_loop(self._connections))

    # -- environments, loops, the end

    def new_environment(self) -> Environment:
        """Returns another environment, on the present loop."""
        environment = Environment(clock=self.clock, observers=[self.recorder])
        self._environments.append(environment)
        return environment

    def start_anew(self) -> None:
        """Ends environment and loop, and makes others, with the same recipe."""
        self._end_loop()
        self.loop = self._new_loop()
        self.environment = self.new_environment()

    def close(self, environment: Environment) -> None:
        """Closes an environment; what does not close is noted."""
        try:
            self.drive(environment.aclose())
        except TeardownError as error:
            self.teardown_errors.append(error)

    def end(self) -> list[str]:
        """Ends everything; returns what is left behind."""
        self._ended = True
        left = self._end_loop(settle=leaks.SETTLE)
        self._close_relay()
        return [*left, *self._ledger.left_behind()]

    def end_without_leaks(self) -> None:
        """Ends everything.

        Raises:
            Finding: Something is left behind.
        """
        if left := self.end():
            raise Finding(listed(left))

    def _new_loop(self) -> PacedLoop:
        self._environments: list[Environment] = []
        loop = PacedLoop()
        loop.set_exception_handler(self._ledger.told_by_loop)
        return loop

    def _end_loop(self, *, settle: float = _IN_PASSING) -> list[str]:
        for environment in self._environments:
            self.close(environment)
        left = self.drive(self._left_on_loop(settle))
        self.loop.run_until_complete(_cancel_what_is_left())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        return left

    async def _left_on_loop(self, settle: float) -> list[str]:
        known = [task for task in (asyncio.current_task(),) if task is not None]
        left = await settled_on_loop(
            lambda: [*tasks_left(known), *self._connections()], seconds=settle
        )
        if self.relay is not None:
            self._ledger.know(sockets_to(self.relay.address))
        return left

    def _connections(self) -> list[str]:
        address = self.relay.address if self.relay is not None else None
        return ["a connection to the server is open"] * len(sockets_to(address) if address else ())

    def _close_relay(self) -> None:
        if self.relay is not None:
            self.relay.close()

    def _handler(self) -> Callable[..., Coroutine[Any, Any, None]]:
        async def use_it(event: object, resource: Any) -> None:
            self.values.append(resource)
            answer = self._subject.use(resource)
            self._answers.append(await answer if inspect.isawaitable(answer) else answer)

        return use_it


def make_recipe(subject: Subject, address: Address | None) -> Resource[Any]:
    """Calls `make`.

    Raises:
        UsageError: It makes something else than a resource that lives with the environment.
    """
    made: object = subject.make(address) if address is not None else subject.make()
    if not is_resource(made):
        raise UsageError(
            f"make returned {type(made).__name__}, which is no resource.\n"
            "  Write: make=lambda address: search_client(f'http://{address}'), where search_client returns what "
            "@resource made."
        )
    if made.options.scope != "environment":
        raise UsageError(
            f"resource {made.name!r} ends with its invocation, so it has nothing to survive.\n"
            "  Check the resource of environment scope that it is built on."
        )
    made.seal("resource")  # one that has no name yet is called what our handler calls it
    return made


def listed(left: Iterable[str]) -> str:
    """Returns what is left behind, a line for each kind."""
    return "\n".join(dict.fromkeys(left))


async def _gathered(calls: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Serves calls side by side to the end of all, and raises what the first of them raised."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _within(limit: float, work: Coroutine[Any, Any, T]) -> T:
    timeout = asyncio.timeout(limit)
    try:
        async with timeout:
            return await work
    except TimeoutError as error:
        if not timeout.expired():
            raise
        raise Finding(
            f"it had not ended after {limit:g} s",
            "give the client timeouts of its own, and let cancellations through.",
            error,
        ) from error


async def _cancel_what_is_left() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=0.1)
