"""pybreaker's circuit breaker, made right for asyncio and for environments that freeze.

States, counters, storages and listeners are pybreaker's. Its own are here: who is let in, what an outcome means,
and when. One rule carries it: nothing is decided across an `await`, and no lock is held over a call.
"""

import asyncio
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast, overload

from warmkit import Clock, SystemClock, gap
from warmkit.resources import errors
from warmkit.resources.breaker.call import Call, innermost
from warmkit.resources.breaker.cooldown import Cooldown
from warmkit.resources.breaker.guarded import is_async, refuse_generator, refuse_unfinished
from warmkit.resources.breaker.outcome import Describe, Failure, says_nothing, tell

with errors.needing("pybreaker", extra="breaker"):
    import pybreaker

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")

Exclusion = type[BaseException] | Callable[[Any], bool]

_log = logging.getLogger("warmkit")


class CircuitOpenError(errors.CircuitOpenError, pybreaker.CircuitBreakerError):
    """A call was not let through: caught as warmkit's and as pybreaker's."""


class CircuitBreaker(pybreaker.CircuitBreaker):
    """Lets calls through while a service works, and rejects them at once while it does not.

    Closed: all pass, side by side; `fail_max` failures in a row open it. Open: none passes for `reset_timeout` seconds.
    Half-open: one at a time passes on trial; `success_threshold` successes close it, one failure opens it again. A trial
    that is cancelled leaves the way to the next. A call that began before the last change of state changes nothing
    more when it ends.

    A cancellation is no failure of the service, nor is the end of the caller's own time: put the deadline inside the
    block. Safe for concurrent tasks, and threads.

    ```python
    async with breaker:
        async with asyncio.timeout(2):
            answer = await client.get(url)

    answer = await breaker.call(client.get, url)
    ```

    Args:
        fail_max: Failures in a row that open it.
        reset_timeout: Seconds that it stays open.
        success_threshold: Successful trials in a row that close it.
        exclude: Exceptions that mean that the service has answered: types, or functions that say so.
        listeners: pybreaker's.
        state_storage: pybreaker's; default: in memory.
        name: For errors and logs.
        describe: What may be told of a failure, in errors and logs; default: its type, and what can hold no secret.
        clock: Where the time comes from; for tests.

    Attributes:
        last_failure: The last failure that was counted here, as it may be shown.
    """

    def __init__(  # noqa: PLR0917  pybreaker's parameters, in its order
        self,
        fail_max: int = 5,
        reset_timeout: float = 30.0,
        success_threshold: int = 1,
        exclude: Iterable[Exclusion] = (),
        listeners: Iterable[pybreaker.CircuitBreakerListener] = (),
        state_storage: pybreaker.CircuitBreakerStorage | None = None,
        name: str | None = None,
        *,
        describe: Describe | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.last_failure: Failure | None = None
        self._describe = describe
        self._clock = clock or SystemClock()
        self._cooldown = Cooldown(self._clock)
        self._trial: Call | None = None
        super().__init__(
            fail_max=fail_max,
            reset_timeout=reset_timeout,
            success_threshold=success_threshold,
            exclude=list(exclude),
            listeners=list(listeners),
            state_storage=state_storage,
            name=name,
        )
        self._cooldown.begin(self._state_storage.opened_at)

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.name!r} {self._state.name}>"

    # -- calls

    async def __aenter__(self) -> Self:
        """Begins a guarded block.

        Raises:
            CircuitOpenError: The service is not to be asked now.
        """
        self.calling().__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the block; hides no exception."""
        call = innermost(self)
        if call is not None:
            call.__exit__(kind, error, traceback)
        else:  # left in another task than entered: whose it was is unknown, so nobody is to wait for it
            self._trial = None

    def calling(self, *, limit: float | None = None) -> Call:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  a context manager as pybreaker's is, not a generator's
        """Returns the guard of one call, for a `with` block. It never waits, so the block may.

        Args:
            limit: Seconds that the block gives the service by a deadline of its own. If it is cancelled after that, it
                is a failure all the same: in a freeze the deadline's timer does not fire.
        """
        if limit is None:
            return Call(self, self._admit, self._judge)
        begun, seconds = self._clock.read(), limit

        def judge(call: Call, error: BaseException | None) -> None:
            cancelled = isinstance(error, asyncio.CancelledError)
            late = cancelled and gap(begun, self._clock.read()) >= seconds
            self._judge(call, TimeoutError() if late else error)

        return Call(self, self._admit, judge)

    @overload  # type: ignore[override]  # pybreaker's call cannot await
    async def call(
        self, func: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    async def call(self, func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def call(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  the same
        """Calls a function, async or plain, and returns what it returns.

        Args:
            func: What is called.
            *args: Its arguments.
            **kwargs: Its arguments by name.

        Raises:
            CircuitOpenError: The service is not to be asked now.
            Exception: Whatever the function raises.
        """
        with self._calling(func, args, kwargs):
            result = func(*args, **kwargs)
            if inspect.isawaitable(result):
                return await result
            refuse_generator(result)
            return result

    call_async: Any = call  # pybreaker's needs Tornado

    def __call__(self, func: F) -> F:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  one function, no options
        """Decorator: guards each call of a function, `async def` or plain.

        Args:
            func: The function; not a generator, whose consumer decides how long a call lasts.

        Raises:
            UsageError: It is a generator, or returns an awaitable without being `async def`.
        """

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            return await self.call(func, *args, **kwargs)

        def call_plain(*args: Any, **kwargs: Any) -> Any:
            with self._calling(func, args, kwargs):
                result = func(*args, **kwargs)
                refuse_unfinished(result)
                return result

        guarded = call_async if is_async(func) else call_plain
        return cast("F", functools.wraps(func)(guarded))

    def _calling(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Call:
        return Call(self, self._admit, self._judge, function=func, args=args, kwargs=kwargs)

    # -- what is known

    @property
    def state(self) -> Any:
        """The state, one of pybreaker's; each change makes another object."""
        with self._lock:
            return self._current()

    @state.setter
    def state(self, state_str: str) -> None:
        self._enter(state_str)

    @property
    def retry_in(self) -> float:
        """Seconds until a call is let through on trial; 0.0: now."""
        with self._lock:
            return self._time_left() if self.state.name == pybreaker.STATE_OPEN else 0.0

    def is_system_error(self, exception: BaseException) -> bool:
        """Whether an exception is a failure of the service, and none that `exclude` names."""
        for exclusion in self.excluded_exceptions:
            if isinstance(exclusion, type):  # pybreaker calls a type that has a metaclass
                if isinstance(exception, exclusion):
                    return False
            elif exclusion(exception):
                return False
        return True

    # -- what an operator, and each outcome, can do

    def open(self) -> bool:
        """Opens it: no call passes for `reset_timeout` seconds. Returns False: no error takes another's place."""
        with self._lock:
            self._state_storage.opened_at = self._cooldown.now()
            self._move(pybreaker.STATE_OPEN)
        return False

    def half_open(self) -> None:
        """Lets the next call through on trial."""
        with self._lock:
            self._state_storage.reset_success_counter()
            self._move(pybreaker.STATE_HALF_OPEN)

    def close(self) -> None:
        """Lets all calls through."""
        with self._lock:
            self._state_storage.reset_success_counter()
            self._state_storage.reset_counter()
            self._move(pybreaker.STATE_CLOSED)

    def _move(self, name: str) -> None:
        self._state_storage.state = name
        self._enter(name)

    def _enter(self, name: str) -> None:
        """Takes over a state. Calls that began in the one before have no say any more."""
        before, self._state = self._state, self._create_new_state(name, prev_state=self._state)
        self._trial = None
        if name == pybreaker.STATE_OPEN:
            self._cooldown.begin(self._state_storage.opened_at)
            cause = self.last_failure or "none was seen here"
            _log.warning("circuit %r is open; the last failure: %s", self.name, cause)
        else:
            _log.info("circuit %r is %s", self.name, name)
        self._notify("state_change", before, self._state)

    def _current(self) -> Any:
        """Returns the state. The lock is held."""
        name = self._state_storage.state
        if name != self._state.name:  # changed in a shared storage
            self._enter(name)
        return self._state

    # -- admission

    def _admit(self, call: Call) -> None:
        with self._lock:
            call.state = self._current()
            if call.state.name != pybreaker.STATE_CLOSED:
                self._admit_on_trial(call)
            if self._listeners:
                self._notify("before_call", call.function, *call.args, **call.kwargs)

    def _admit_on_trial(self, call: Call) -> None:
        if call.state.name == pybreaker.STATE_OPEN:
            left = self._time_left()
            if left > 0:
                raise self._rejection(left)
            self.half_open()
            call.state = self._state
        if self._trial is None:
            self._trial = call
        elif self._trial not in call.around():
            raise self._rejection(0.0)

    def _time_left(self) -> float:
        return self._cooldown.left(self.reset_timeout, self._state_storage.opened_at)

    def _rejection(self, left: float) -> CircuitOpenError:
        failure = "" if self.last_failure is None else str(self.last_failure)
        return CircuitOpenError(self.name or "", failure, left)

    # -- verdict

    def _judge(self, call: Call, error: BaseException | None) -> None:
        with self._lock:
            try:
                if error is None:
                    self._succeeded(call)
                elif not says_nothing(error):
                    self._raised(call, error)
            finally:
                if self._trial is call:
                    self._trial = None

    def _raised(self, call: Call, error: BaseException) -> None:
        if not self.is_system_error(error):
            self._succeeded(call)
        elif error is not call.counted:
            self._failed(call, cast("Exception", error))

    def _succeeded(self, call: Call) -> None:
        if self._has_a_say(call):
            self._state_storage.reset_counter()
            self._state.on_success()  # pybreaker's: counts trials, and closes
        if self._listeners:
            self._notify("success")

    def _failed(self, call: Call, error: Exception) -> None:
        has_a_say = self._has_a_say(call)
        if has_a_say:
            self.last_failure = tell(error, self._describe)
            self._state_storage.increment_counter()
            for outer in call.around():
                outer.counted = error  # it is on its way there, and is one failure
        self._notify("failure", error)
        if has_a_say and (self._trial is call or self.fail_counter >= self.fail_max):
            self.open()

    def _has_a_say(self, call: Call) -> bool:
        """Whether the state is still the one in which it began, and it is no mere part of a trial."""
        if call.state is not self._current():
            return False
        return call is self._trial or call.state.name != pybreaker.STATE_HALF_OPEN

    def _notify(self, event: str, *args: Any, **kwargs: Any) -> None:
        """Tells the listeners. One that raises stops neither the others nor the breaker."""
        listeners: tuple[pybreaker.CircuitBreakerListener, ...] = tuple(self._listeners)
        for listener in listeners:
            try:
                getattr(listener, event)(self, *args, **kwargs)
            except Exception:  # noqa: BLE001  it is logged
                _log.exception("a listener of circuit %r failed", self.name)
