"""One life of one resource: its states, who uses it, and the task in which it starts, waits and closes.

Every transition is synchronous and decides; what is to be awaited is returned. A slot knows the slots that
it was built on, and nothing of which slot is the current one of its resource: that is the environment's.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from contextvars import Context
from typing import Any, Protocol

from warmkit.clock import Clock, Reading, Within, gap
from warmkit.errors import (
    CheckError,
    CloseError,
    RefreshError,
    ResourceError,
    StartError,
)
from warmkit.events import MOVES, Counters, EventKind, State
from warmkit.freshness import Limits, Verdict, decide, trusted_for
from warmkit.life import Life, begin, look_after
from warmkit.recipe import Resource, Work

SHARE = "its share of the budget"
"""What bounds a close at the end of an environment."""


class Keeper(Protocol):
    """Who keeps the slot."""

    clock: Clock
    context: Context | None
    """In which its tasks run; None: in that of whoever starts them."""

    def report(
        self,
        kind: EventKind,
        slot: "Slot",
        *,
        seconds: float = 0.0,
        gap: float = 0.0,
        reason: str = "",
        error: BaseException | None = None,
    ) -> None:
        """Tells those who listen what happened."""
        ...

    def retire(self, slot: "Slot", reason: str, *, outlived: bool = False) -> None:
        """Takes the slot, and all that was built on it, out of use; `outlived`: it still works."""
        ...

    def loop_ends(self) -> bool:
        """Whether every task of the loop is being cancelled, because it is about to be closed."""
        ...


class Slot:
    """One live value, or the way to it.

    Lives in one event loop.

    Attributes:
        invocation: The number of the invocation that has it started, checked or reused at the moment.
        built_on: The slots whose values its factory was given.
        closes: The value has something to close.
        error: Why the last start, check or close failed.
        probe: The recipe's `alive`.
        trusted_for: Gap in seconds up to which only the probe is asked; negative: always ask for a verdict.
        used: When it was last used.
        users: Who holds the value: invocations, and slots built on it.
    """

    __slots__ = (
        "_born_old",
        "_close_limit",
        "_close_now",
        "_close_option",
        "_finishing",
        "_keeper",
        "_limits",
        "_settled",
        "_task",
        "_work",
        "built_on",
        "closes",
        "counters",
        "error",
        "expires",
        "invocation",
        "name",
        "predecessor",
        "probe",
        "recipe",
        "started",
        "state",
        "suspect",
        "trusted_for",
        "used",
        "users",
        "value",
    )

    def __init__(
        self,
        recipe: Resource[Any],
        name: str,
        keeper: Keeper,
        counters: Counters,
        predecessor: "Slot | None" = None,
    ) -> None:
        self.recipe = recipe
        self.name = name
        self.counters = counters
        self.predecessor = predecessor
        self.state = State.COLD
        self.value: Any = None
        self.users = 0
        self.used = self.started = keeper.clock.read()
        self.expires: float | None = None
        self.suspect = False
        self.closes = False
        self.error: ResourceError | None = None
        self.invocation: int | None = None
        self.built_on: tuple[Slot, ...] = ()
        self._keeper = keeper
        self.probe = recipe.hooks.alive
        self._limits = recipe.limits
        self.trusted_for = -1.0
        self._settled: asyncio.Future[None] | None = None
        self._born_old = False
        self._close_limit = recipe.options.close_timeout
        self._close_option = "close_timeout"
        self._close_now: asyncio.Event | None = None
        self._finishing: Within | None = None
        self._task: asyncio.Task[None] | None = None
        self._work: asyncio.Task[None] | None = None

    # -- questions

    def verdict(self, since_use: float, now: Reading) -> Verdict:
        """Returns what the value needs before it may be used again.

        Args:
            since_use: The gap since `used`, in seconds.
            now: The present moment.
        """
        limits = self._limits
        return decide(
            limits,
            gap=since_use,
            age=0.0 if limits.max_age is None else gap(self.started, now),
            expires_in=None if self.expires is None else self.expires - now.wall,
            suspect=self.suspect or not self._looks_alive(),
        )

    def _looks_alive(self) -> bool:
        try:
            return self.probe is None or bool(self.probe(self.value))
        except Exception:  # noqa: BLE001  what cannot even be looked at is not alive
            return False

    def overdue(self, now: Reading) -> bool:
        """Whether a start stood still for longer than it may take: a freeze came in between."""
        return gap(self.started, now) >= self.recipe.options.start_timeout

    def distrust(self) -> None:
        """Makes it suspect: its next use proves it first. A supplied value is its owner's to judge."""
        if self._task is None:
            return
        self.suspect = True
        self.trusted_for = -1.0

    def _trust(self) -> None:
        self.suspect = False
        can_age = self.expires is not None or self._limits.max_age is not None
        self.trusted_for = -1.0 if can_age else trusted_for(self._limits)

    def outlived(self, now: Reading) -> bool:
        """Whether the value works, but has reached its age or expiry."""
        max_age = self._limits.max_age
        old = max_age is not None and gap(self.started, now) >= max_age
        return old or (self.expires is not None and now.wall >= self.expires)

    def outlive(self) -> None:
        """What it is being built on is outlived: it will be, too, as soon as it has started."""
        self._born_old = True

    async def settled(self) -> None:
        """Waits until the start, check or refresh in progress is over, whatever its outcome.

        Cancelling the wait leaves the work alone.
        """
        if self._settled is not None:
            await asyncio.shield(self._settled)

    # -- use

    def hold(self, now: Reading) -> None:
        """Counts one more user."""
        self.users += 1
        self.used = now

    def release(self, now: Reading) -> None:
        """Counts one user less, who has used it until now."""
        self.used = now
        self.leave()

    def leave(self) -> None:
        """Counts one user less, of whom nobody knows when it used it; the last one lets a retired value close."""
        self.users -= 1
        if self.state is State.RETIRING and not self.users:
            self._let_close()

    # -- transitions

    def supply(self, value: object) -> None:
        """COLD to WARM with a value that somebody else owns."""
        self._move(State.STARTING)
        self._move(State.WARM)
        self.value = value
        self.probe = None
        self._limits = Limits()
        self.trusted_for = trusted_for(self._limits)

    def start(
        self,
        arguments: Mapping[str, object],
        built_on: "tuple[Slot, ...]" = (),
        invocation: int | None = None,
    ) -> None:
        """COLD to STARTING: the factory runs in a task of its own. Await `settled` for the outcome."""
        self._move(State.STARTING)
        self.invocation = invocation
        self.error = None
        self.started = self._keeper.clock.read()
        self.built_on = built_on
        self._born_old = False
        for slot in built_on:
            slot.hold(self.started)
        self._unsettle()
        self._close_now = asyncio.Event()
        self._task = self._spawn(self._live(arguments))
        self._task.add_done_callback(self._never_lived)

    def check(self, invocation: int | None = None) -> None:
        """WARM to CHECKING, with the recipe's check. Await `settled` for the outcome."""
        self.invocation = invocation
        self._examine(
            self.recipe.hooks.check, CheckError, EventKind.CHECKED, EventKind.CHECK_FAILED
        )

    def refresh(self, invocation: int | None = None) -> None:
        """WARM to CHECKING, with the recipe's refresh. Await `settled` for the outcome."""
        self.invocation = invocation
        self._examine(
            self.recipe.hooks.refresh, RefreshError, EventKind.REFRESHED, EventKind.REFRESH_FAILED
        )

    def retire(self, reason: str) -> None:
        """Takes the value out of use; it closes when its last user is done."""
        if self.state in (State.RETIRING, State.CLOSED):
            return
        if self.state is State.COLD:
            self._move(State.CLOSED)
            return
        if self.state is State.STARTING and self._task is not None:
            self._task.cancel()
        if self._work is not None:
            self._work.cancel()
        self._move(State.RETIRING)
        self._keeper.report(EventKind.RETIRED, self, reason=reason)
        if not self.users:
            self._let_close()

    def close(self, limit: float) -> asyncio.Task[None] | None:
        """Ends it at once, in use or not; returns the task in which it closes, if there is one.

        Args:
            limit: Seconds it may take, if its own `close_timeout` is not shorter.
        """
        if limit < self._close_limit:
            self._close_limit, self._close_option = limit, SHARE
        if self._finishing is not None:
            self._finishing.shorten(limit, SHARE)
        self.invocation = None
        self.retire("the environment ends")
        self._let_close()
        return self._task

    def pass_on(self) -> "Slot | None":
        """Hands the outlived slot, which it did not come to succeed, to the next in line."""
        outlived, self.predecessor = self.predecessor, None
        return outlived

    @property
    def closing(self) -> asyncio.Task[None] | None:
        """The task in which a retired value is being closed; None while it is in use, or has gone."""
        told_to = self._close_now is not None and self._close_now.is_set()
        return self._task if told_to and self.state is State.RETIRING else None

    # -- the life

    async def _live(self, arguments: Mapping[str, object]) -> None:
        """Start, wait and close in one task, as the factory's context managers expect."""
        try:
            async with Within(self.recipe.options.start_timeout, "the start", "start_timeout"):
                life = await begin(self.recipe, arguments)
        except BaseException as error:  # noqa: BLE001  a user's failure becomes data
            self._start_failed(error)
            _let_through(error)
            return
        self._started(life)
        await self._finish(life, await self._wait_for_close())

    def _started(self, life: Life) -> None:
        now = self._keeper.clock.read()
        seconds = gap(self.started, now)
        self.started = self.used = now
        self.closes = life.finish is not None
        self.expires = float("-inf") if self._born_old else life.expires
        self.counters.starts += 1
        self.counters.seconds += seconds
        self._trust()
        if self.state is State.STARTING:
            rebuilt = self.counters.starts > 1
            self.counters.rebuilds += rebuilt
            self._move(State.WARM)
            self.value = life.value
            self._keeper.report(
                EventKind.STARTED,
                self,
                seconds=seconds,
                reason="rebuild" if rebuilt else "first use",
            )
        self._settle()
        outlived = self.pass_on()
        if outlived is not None:
            outlived.invocation = self.invocation
            self._keeper.retire(outlived, "its time was over", outlived=True)
        self.invocation = None

    def _start_failed(self, cause: BaseException) -> None:
        seconds = gap(self.started, self._keeper.clock.read())
        if self.state is State.RETIRING:  # it did not fail, it was given up
            self.error = None
            self._let_go()
            self._move(State.CLOSED)
            self._settle()
            return
        self.counters.start_failures += 1
        self.counters.seconds += seconds
        self.error = _blame(StartError(self.name, seconds), cause)
        self._let_go()
        self._move(State.COLD)
        self._keeper.report(EventKind.START_FAILED, self, seconds=seconds, error=self.error)
        self._settle()

    def _never_lived(self, task: asyncio.Task[None]) -> None:
        """A task that is cancelled before its first step runs none of its code: this stands in for it."""
        if task is self._task and self.state in (State.STARTING, State.RETIRING):
            self._start_failed(asyncio.CancelledError("before it began"))
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, KeyboardInterrupt | SystemExit):
            message = f"the life of {self.name!r} broke"  # an exit has been raised where it belongs
            task.get_loop().call_exception_handler({"message": message, "exception": error})

    async def _wait_for_close(self) -> BaseException | None:
        """Waits until the value is to be closed; returns what ended it, if that was its own doing."""
        assert self._close_now is not None
        while not self._close_now.is_set():
            try:
                await self._close_now.wait()
            except asyncio.CancelledError as error:
                if not self._keeper.loop_ends():  # a task group or a timeout that spans the yield
                    self._keeper.retire(self, "it cancelled its own task")
                    return error
                _uncancel()  # the teardown says when it is this one's turn
        return None

    async def _finish(self, life: Life, error: BaseException | None) -> None:
        begun = self._keeper.clock.read()
        cause: BaseException | None = None
        self._finishing = Within(self._close_limit, "the close", self._close_option)
        try:
            async with self._finishing:
                if (
                    self._work is not None
                ):  # a check that was cancelled may still give something back
                    await asyncio.wait({self._work})
                if life.finish is not None:
                    await life.finish(error)
        except BaseException as raised:  # noqa: BLE001  a user's failure becomes data
            cause = raised
        self._closed(gap(begun, self._keeper.clock.read()), cause)
        _let_through(cause)

    def _closed(self, seconds: float, cause: BaseException | None) -> None:
        self.error = None if cause is None else _blame(CloseError(self.name, seconds), cause)
        self.value = None
        self._let_go()
        self._move(State.CLOSED)
        self.counters.closes += 1
        kind = EventKind.CLOSED if cause is None else EventKind.CLOSE_FAILED
        self._keeper.report(kind, self, seconds=seconds, error=self.error)

    # -- check and refresh

    def _examine(
        self,
        work: Work[Any] | None,
        blame: type[ResourceError],
        passed: EventKind,
        failed: EventKind,
    ) -> None:
        assert work is not None
        self._move(State.CHECKING)
        self._unsettle()
        self._work = self._spawn(self._prove(work, blame, passed, failed))
        self._work.add_done_callback(self._never_proved)

    async def _prove(
        self, work: Work[Any], blame: type[ResourceError], passed: EventKind, failed: EventKind
    ) -> None:
        begun = self._keeper.clock.read()
        limit = self.recipe.options.check_timeout
        cause: BaseException | None = None
        try:
            async with Within(limit, "the check", "check_timeout"):
                await look_after(work, self.value)
        except BaseException as error:  # noqa: BLE001  a user's failure becomes data
            cause = error
        self._work = None
        if self.state is State.CHECKING:  # else it was retired meanwhile, and the outcome is moot
            now = self._keeper.clock.read()
            since_use, seconds = gap(self.used, begun), gap(begun, now)
            self._count(blame, seconds, failed=cause is not None)
            if cause is None:
                self._proved(now)
                self._keeper.report(passed, self, seconds=seconds, gap=since_use)
            else:
                self.error = _blame(blame(self.name, seconds), cause)
                self._keeper.report(failed, self, seconds=seconds, gap=since_use, error=self.error)
                self._keeper.retire(self, str(failed))
        self.invocation = None
        self._settle()
        _let_through(cause)

    def _never_proved(self, task: asyncio.Task[None]) -> None:
        """A task that is cancelled before its first step runs none of its code: this stands in for it."""
        if task is self._work:
            self._work = None
            self._keeper.retire(self, "its check was cancelled")
            self._settle()

    def _proved(self, now: Reading) -> None:
        self._move(State.WARM)
        self.used = now
        self._trust()

    def _count(self, blame: type[ResourceError], seconds: float, *, failed: bool) -> None:
        self.counters.seconds += seconds
        if blame is CheckError:
            self.counters.checks += 1
        else:
            self.counters.refreshes += 1
        self.counters.check_failures += failed

    # -- small moves

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        context = self._keeper.context
        return asyncio.create_task(
            work,
            name=f"warmkit:{self.name}",
            context=context.copy() if context is not None else None,
        )

    def _move(self, state: State) -> None:
        if state not in MOVES[self.state]:
            raise AssertionError(f"slot {self.name!r}: {self.state} cannot become {state}")
        self.state = state

    def _let_close(self) -> None:
        if self._close_now is not None:
            self._close_now.set()
        elif self.state is State.RETIRING:  # supplied: nothing of ours to close
            self._move(State.CLOSED)

    def _let_go(self) -> None:
        held, self.built_on = self.built_on, ()
        for slot in held:
            slot.leave()

    def _unsettle(self) -> None:
        self._settled = asyncio.get_running_loop().create_future()

    def _settle(self) -> None:
        if self._settled is not None and not self._settled.done():
            self._settled.set_result(None)


def _blame(error: ResourceError, cause: BaseException) -> ResourceError:
    error.__cause__ = cause
    return error


def _let_through(error: BaseException | None) -> None:
    """The interpreter's own exits are noted like any failure, and then go on their way."""
    if isinstance(error, KeyboardInterrupt | SystemExit):
        raise error


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
