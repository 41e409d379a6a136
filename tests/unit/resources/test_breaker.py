"""The circuit breaker in virtual time: what passes, what counts, what is told."""

import abc
import asyncio
import functools
import gc
import logging
import pickle
import socket
import threading
import weakref
from contextvars import Context
from typing import Annotated, Any

import pybreaker
import pytest

from warmkit import (
    DeadlineError,
    Environment,
    Lazy,
    ResourceError,
    StartError,
    TimeLimitError,
    UsageError,
    resource,
    warm_handler,
)
from warmkit.resources import (
    CircuitBreaker,
    CircuitOpenError,
    DsnError,
    IamTokenError,
    MissingPackageError,
    PostgresConnectError,
)
from warmkit.resources.breaker.breaker import CircuitOpenError as RaisedError
from warmkit.resources.breaker.call import Call
from warmkit.testing import HANG, VirtualClock, run

SENTINEL = "s3ntinel"
DOWN = ConnectionRefusedError(111, "refused")


def breaker_on(clock: VirtualClock, **options: Any) -> CircuitBreaker:
    return CircuitBreaker(
        **{"fail_max": 3, "reset_timeout": 30, "name": "prices", "clock": clock, **options}
    )


async def fail(error: BaseException = DOWN) -> None:
    raise error


async def succeed() -> str:
    return "fine"


async def outcome(breaker: CircuitBreaker, function: Any = fail, *args: Any) -> Any:
    """What a call returns or raises."""
    try:
        return await breaker.call(function, *args)
    except BaseException as error:  # noqa: BLE001  it is the outcome
        return error


async def open_up(breaker: CircuitBreaker) -> None:
    while breaker.current_state != "open":
        await outcome(breaker)


@pytest.fixture
def breaker(clock: VirtualClock) -> CircuitBreaker:
    return breaker_on(clock)


@pytest.fixture
def driven(clock: VirtualClock) -> Any:
    """Decorator: runs an async scenario at once, in virtual time."""
    return lambda scenario: run(scenario, clock=clock)


# -- every way to call


async def by_block(breaker):
    async with breaker:
        raise DOWN


async def by_guard(breaker):
    with breaker.calling():
        await fail()


async def by_call(breaker):
    await breaker.call(fail)


async def by_call_of_a_plain_function(breaker):
    def plain():
        raise DOWN

    await breaker.call(plain)


async def by_call_of_a_plain_function_that_returns_an_awaitable(breaker):
    await breaker.call(functools.partial(lambda function: function(), fail))


async def by_pybreakers_name(breaker):
    await breaker.call_async(fail)


async def by_decorator(breaker):
    @breaker
    async def guarded():
        await fail()

    await guarded()


async def by_decorator_of_a_plain_function(breaker):
    @breaker
    def guarded():
        raise DOWN

    guarded()


async def by_decorator_of_an_object(breaker):
    class Client:
        async def __call__(self):
            await fail()

    await breaker(Client())()


@pytest.mark.parametrize(
    "way",
    [
        by_block,
        by_guard,
        by_call,
        by_call_of_a_plain_function,
        by_call_of_a_plain_function_that_returns_an_awaitable,
        by_pybreakers_name,
        by_decorator,
        by_decorator_of_a_plain_function,
        by_decorator_of_an_object,
    ],
)
def test_fail_max_failures_in_a_row_open_it_however_it_is_called(way, breaker, driven):
    @driven
    async def _():
        for count in range(3):
            assert (breaker.current_state, breaker.fail_counter) == ("closed", count)
            with pytest.raises(ConnectionRefusedError):  # its own error, the last time too
                await way(breaker)
        assert breaker.current_state == "open"
        with pytest.raises(CircuitOpenError):
            await way(breaker)


def test_a_call_returns_what_the_function_returns(breaker, driven):
    @driven
    async def _():
        assert await breaker.call(succeed) == "fine"
        assert await breaker.call(max, 1, 2) == 2
        assert await breaker.call(int, "11", base=2) == 3
        assert breaker(max)(3, 4) == 4


def test_a_decorated_function_keeps_its_name_and_colour(breaker):
    @breaker
    async def fetch():
        """Fetches."""

    assert (fetch.__name__, fetch.__doc__) == ("fetch", "Fetches.")
    assert asyncio.iscoroutinefunction(fetch)
    assert not asyncio.iscoroutinefunction(breaker(max))


def test_a_success_between_forgets_the_failures(breaker, driven):
    @driven
    async def _():
        for _ in range(5):
            await outcome(breaker)
            await outcome(breaker)
            await outcome(breaker, succeed)
        assert (breaker.current_state, breaker.fail_counter) == ("closed", 0)


def test_what_cannot_be_guarded_is_refused(breaker, driven):
    def rows():
        yield 1

    async def more_rows():
        yield 1

    @driven
    async def _():
        for generator in (rows, more_rows):
            with pytest.raises(UsageError, match="guards no generators"):
                breaker(generator)
            with pytest.raises(UsageError, match="guards no generators"):
                await breaker.call(generator)
        with pytest.raises(UsageError, match="guards no generators"):
            breaker(lambda *_: rows())()
        with pytest.raises(UsageError, match="Decorate an async def"):
            breaker(lambda *_: succeed())()
        with pytest.raises(UsageError, match="Decorate an async def"):
            breaker(asyncio.get_running_loop().create_future)()
        with pytest.raises(TypeError), breaker:
            raise AssertionError
        assert (breaker.fail_counter, breaker.last_failure) == (0, None)


# -- what counts


@pytest.mark.parametrize(
    "error",
    [
        OSError("down"),
        TimeoutError(),
        TimeLimitError("the start", 5.0, "start_timeout"),
        ExceptionGroup("both", [OSError(), RaisedError("other", "", 1.0)]),
        StartError("db", 1.0),
    ],
    ids=repr,
)
def test_is_a_failure_of_the_service(error, breaker, driven):
    @driven
    async def _():
        assert await outcome(breaker, fail, error) is error
        assert breaker.fail_counter == 1


def resource_error(cause: BaseException) -> ResourceError:
    error = StartError("db", 1.0)
    error.__cause__ = cause
    return error


NO_NEWS = [
    asyncio.CancelledError(),
    KeyboardInterrupt(),
    SystemExit(1),
    GeneratorExit(),
    TimeLimitError("waiting for db", 1.0, "the time left"),
    CircuitOpenError("other", "", 1.0),
    UsageError("wrong"),
    DsnError("there is none"),
    IamTokenError("no credentials", "Give the function a role."),
    MissingPackageError("asyncpg", "postgres"),
    resource_error(CircuitOpenError("other", "", 1.0)),
    resource_error(resource_error(TimeLimitError("the start", 1.0, "the time left"))),
    ExceptionGroup("both", [CircuitOpenError("other", "", 1.0)]),
    BaseExceptionGroup("exits", [KeyboardInterrupt(), asyncio.CancelledError()]),
]


@pytest.mark.parametrize("error", NO_NEWS, ids=repr)
def test_says_nothing_of_the_service(error, clock):
    breaker = breaker_on(clock)
    with pytest.raises(type(error)), breaker.calling():
        raise error
    assert (breaker.fail_counter, breaker.last_failure) == (0, None)

    breaker.half_open()
    for _ in range(2):  # nor does it hold the way of the next trial
        with pytest.raises(type(error)), breaker.calling():
            raise error
        assert breaker.current_state == "half-open"


def test_a_failure_between_two_without_news_still_counts(breaker, driven):
    @driven
    async def _():
        await outcome(breaker)
        await outcome(breaker, fail, asyncio.CancelledError())
        assert breaker.fail_counter == 1


def test_a_deadline_inside_is_the_services_and_one_outside_the_callers(breaker, driven):
    @driven
    async def _():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1), breaker:
                await asyncio.sleep(60)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(breaker.call(asyncio.sleep, 60), 1)
        assert breaker.fail_counter == 0
        with pytest.raises(TimeoutError):
            async with breaker, asyncio.timeout(1):
                await asyncio.sleep(60)
        assert breaker.fail_counter == 1


class Context3Seconds:
    def get_remaining_time_in_millis(self):
        return 3000


@pytest.mark.parametrize(("start_timeout", "failures"), [(60.0, 0), (2.0, 1)])
def test_the_invocations_time_is_not_the_services_but_a_starts_is(
    start_timeout, failures, clock, breaker, inside
):
    hanging = resource(name="slow", start_timeout=start_timeout)(HANG)

    @warm_handler(deadline_margin=None)
    async def handler(event: object, context: object, lazy: Annotated[Lazy[Any], hanging]) -> None:
        async with breaker:
            await lazy

    @inside
    async def _(_: Environment) -> None:
        with pytest.raises((StartError, TimeLimitError)):
            await handler.invoke({}, Context3Seconds())

    assert breaker.fail_counter == failures


def test_the_handlers_own_deadline_is_not_the_services(breaker, inside):
    @warm_handler
    async def handler(event: object, context: object) -> None:
        async with breaker:
            await HANG()

    @inside
    async def _(_: Environment) -> None:
        with pytest.raises(DeadlineError):
            await handler.invoke({}, Context3Seconds())

    assert breaker.fail_counter == 0


def test_an_excluded_exception_is_an_answer(clock, driven):
    class BusinessError(Exception, metaclass=abc.ABCMeta):
        """Of the kind that pybreaker itself would call."""

    class StatusError(Exception):
        def __init__(self, status):
            super().__init__(status)
            self.status = status

    def is_answered(error):
        return getattr(error, "status", 500) < 500

    breaker = breaker_on(clock, exclude=[BusinessError, is_answered])

    @driven
    async def _():
        await outcome(breaker)
        await outcome(breaker, fail, BusinessError())
        assert breaker.fail_counter == 0
        await outcome(breaker, fail, StatusError(503))
        assert breaker.fail_counter == 1
        await outcome(breaker, fail, StatusError(404))
        assert breaker.fail_counter == 0
        breaker.half_open()
        await outcome(breaker, fail, StatusError(404))
        assert breaker.current_state == "closed"


def test_a_predicate_that_raises_is_heard_and_holds_no_trial(clock, driven):
    def broken(error):
        raise ZeroDivisionError

    breaker = breaker_on(clock, exclude=[broken])

    @driven
    async def _():
        breaker.half_open()
        for _ in range(2):
            error = await outcome(breaker)
            assert isinstance(error, ZeroDivisionError)
            assert error.__context__ is DOWN


# -- concurrency


def test_calls_do_not_wait_for_each_other_while_it_is_closed(breaker, clock, driven):
    @driven
    async def _():
        await asyncio.gather(*(breaker.call(asyncio.sleep, 1) for _ in range(100)))

    assert clock.monotonic == 1.0


def test_plain_calls_in_threads_do_not_wait_for_each_other(breaker):
    both_are_inside = threading.Barrier(2)
    guarded = breaker(lambda: both_are_inside.wait(10))
    threads = [threading.Thread(target=guarded) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not both_are_inside.broken
    assert breaker.fail_counter == 0


def test_of_a_hundred_at_once_one_is_let_through_on_trial(breaker, clock, driven):
    @driven
    async def _():
        await open_up(breaker)
        clock.advance(30)
        reached = []

        async def service():
            reached.append(clock.monotonic)
            await asyncio.sleep(5)

        begun = clock.monotonic
        trials = [asyncio.create_task(outcome(breaker, service)) for _ in range(100)]
        done, under_way = await asyncio.wait(trials, timeout=0)
        assert (len(reached), len(done), len(under_way)) == (1, 99, 1)
        assert clock.monotonic == begun  # the others were told at once
        assert {type(task.result()) for task in done} == {RaisedError}
        assert {task.result().retry_in for task in done} == {0.0}
        await asyncio.wait(under_way)
        assert breaker.current_state == "closed"


def test_a_cancelled_trial_gives_way_to_the_next(breaker, clock, driven):
    @driven
    async def _():
        await open_up(breaker)
        clock.advance(30)
        trial = asyncio.create_task(outcome(breaker, asyncio.sleep, 60))
        await asyncio.sleep(0)
        assert isinstance(await outcome(breaker, succeed), CircuitOpenError)
        trial.cancel()
        await trial
        assert breaker.current_state == "half-open"
        assert await outcome(breaker, succeed) == "fine"
        assert breaker.current_state == "closed"


def test_trials_come_one_after_the_other_until_enough_have_passed(clock, driven):
    breaker = breaker_on(clock, success_threshold=2)

    @driven
    async def _():
        await open_up(breaker)
        clock.advance(30)
        await outcome(breaker, succeed)
        assert (breaker.current_state, breaker.success_counter) == ("half-open", 1)
        await outcome(breaker, succeed)
        assert (breaker.current_state, breaker.success_counter) == ("closed", 0)

        breaker.half_open()
        await outcome(breaker, succeed)
        await outcome(breaker)  # the count begins anew
        clock.advance(30)
        await outcome(breaker, succeed)
        assert (breaker.current_state, breaker.success_counter) == ("half-open", 1)


def test_a_trial_that_an_operator_has_overtaken_holds_nobody_up(breaker, driven):
    @driven
    async def _():
        breaker.half_open()
        overtaken = asyncio.create_task(outcome(breaker, asyncio.sleep, 60))
        await asyncio.sleep(0)
        breaker.half_open()
        trial = asyncio.create_task(outcome(breaker, asyncio.sleep, 90))
        await overtaken
        assert breaker.current_state == "half-open"
        await trial
        assert breaker.current_state == "closed"


def test_a_late_outcome_of_an_old_call_changes_nothing(breaker, clock, driven):
    @driven
    async def _():
        async def later(error):
            await asyncio.sleep(40)
            if error is not None:
                raise error

        late = [asyncio.create_task(outcome(breaker, later, item)) for item in (None, DOWN)]
        await asyncio.sleep(0)
        await open_up(breaker)
        await asyncio.sleep(35)
        trial = asyncio.create_task(outcome(breaker, asyncio.sleep, 10))
        await asyncio.wait(late)
        assert (breaker.current_state, breaker.fail_counter) == ("half-open", 3)
        assert isinstance(await outcome(breaker, succeed), CircuitOpenError)  # still one trial
        await trial
        assert breaker.current_state == "closed"


# -- calls inside calls


def test_one_failure_that_passes_two_guards_counts_once(breaker, driven):
    @driven
    async def _():
        with pytest.raises(ConnectionRefusedError):
            async with breaker, breaker:
                await breaker.call(fail)
        assert breaker.fail_counter == 1

        async def another():
            await outcome(breaker)
            raise ValueError("another")

        assert isinstance(await outcome(breaker, another), ValueError)
        assert breaker.fail_counter == 3


def test_a_call_inside_a_trial_is_part_of_it(breaker, clock, driven):
    @driven
    async def _():
        await open_up(breaker)
        clock.advance(30)
        async with breaker:
            assert await outcome(breaker, succeed) == "fine"
            inside = asyncio.create_task(outcome(breaker))
            assert await inside is DOWN
            assert breaker.current_state == "half-open"  # the trial itself decides
        assert breaker.current_state == "closed"


def test_what_a_trial_leaves_behind_is_no_part_of_it(breaker, clock, driven):
    @driven
    async def _():
        async def afterwards():
            await asyncio.sleep(1)
            return await outcome(breaker, succeed)

        await open_up(breaker)
        clock.advance(30)
        left_behind = []

        async def trial():
            left_behind.append(asyncio.create_task(afterwards()))
            await fail()

        assert await outcome(breaker, trial) is DOWN
        assert isinstance(await left_behind[0], CircuitOpenError)


def test_a_block_that_is_left_in_another_task_holds_no_trial(breaker, driven):
    @driven
    async def _():
        breaker.half_open()
        await asyncio.create_task(breaker.__aenter__(), context=Context())
        assert isinstance(await outcome(breaker, succeed), CircuitOpenError)
        await asyncio.create_task(breaker.__aexit__(None, None, None), context=Context())
        assert await outcome(breaker, succeed) == "fine"


def test_nested_breakers_do_not_mind_each_other(clock, driven):
    outer, inner = breaker_on(clock), breaker_on(clock, name="other")

    @driven
    async def _():
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                async with outer, inner:
                    await fail()
        with pytest.raises(CircuitOpenError, match="prices"):
            async with outer, inner:
                raise AssertionError
        outer.close()
        with pytest.raises(CircuitOpenError, match="other"):
            async with outer, inner:
                raise AssertionError
        assert (outer.fail_counter, inner.fail_counter) == (0, 3)


def test_nothing_of_a_call_is_kept_when_it_is_over(breaker, driven):
    class BigError(Exception):
        pass

    left_behind = []

    async def later(error):
        await asyncio.sleep(1)
        await outcome(breaker, fail, error)

    async def use(error):
        async with breaker:
            left_behind.append(asyncio.create_task(later(error)))
            left_behind.append(asyncio.create_task(asyncio.sleep(60)))
            await outcome(breaker, fail, error)

    @driven
    async def _():
        error = BigError()
        gone = weakref.ref(error)
        await use(error)
        await outcome(breaker, fail, error)
        await left_behind[0]
        del error
        gc.collect()
        assert gone() is None
        assert not left_behind[1].done()  # which knows the call that it was started in
        await left_behind[1]


def test_guards_that_are_left_in_the_wrong_order_pile_up_nowhere(breaker):
    """As those of two generators can be, which take turns in one task."""

    def take_turns():
        first, second = breaker.calling(), breaker.calling()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        second.__exit__(None, None, None)

    def in_memory():
        gc.collect()
        return sum(isinstance(item, Call) for item in gc.get_objects())

    take_turns()
    before = in_memory()
    for _ in range(10):
        take_turns()
    assert in_memory() == before


def test_blocks_of_two_breakers_can_be_left_in_any_order(clock, driven):
    one, two = breaker_on(clock), breaker_on(clock)

    @driven
    async def _():
        await one.__aenter__()
        await two.__aenter__()
        await one.__aexit__(OSError, DOWN, None)
        await two.__aexit__(None, None, None)
        await two.__aexit__(OSError, DOWN, None)  # nobody's
        await one.__aexit__(OSError, DOWN, None)
        assert (one.fail_counter, two.fail_counter) == (1, 0)


# -- clocks


@pytest.mark.parametrize(
    "freeze",
    [
        {"monotonic": False, "boot": True, "wall": True},
        {"monotonic": False, "boot": False, "wall": True},
        {"monotonic": True, "boot": False, "wall": False},
    ],
    ids=str,
)
def test_it_tries_again_after_a_freeze_whichever_clock_stood_still(freeze, breaker, clock, driven):
    @driven
    async def _():
        await open_up(breaker)
        clock.freeze(29, **freeze)
        assert breaker.retry_in == 1.0
        assert isinstance(await outcome(breaker, succeed), CircuitOpenError)
        clock.freeze(1, **freeze)
        assert breaker.retry_in == 0.0
        assert await outcome(breaker, succeed) == "fine"


def test_a_wall_clock_set_back_does_not_keep_it_open(breaker, clock, driven):
    @driven
    async def _():
        await open_up(breaker)
        clock.set_wall(clock.read().wall - 86_400)
        assert breaker.retry_in == 30.0
        clock.advance(30)
        assert await outcome(breaker, succeed) == "fine"


def test_a_cancellation_after_the_blocks_own_limit_is_a_failure(breaker, clock, driven):
    @driven
    async def _():
        async def guarded(frozen, error):
            with breaker.calling(limit=2.0):
                clock.freeze(frozen)  # the timer of the block's own deadline does not fire
                raise error

        for frozen, error, failures in (
            (1.9, asyncio.CancelledError(), 0),
            (2.0, asyncio.CancelledError(), 1),
            (60, KeyboardInterrupt(), 1),
        ):
            with pytest.raises(type(error)):
                await guarded(frozen, error)
            assert breaker.fail_counter == failures


# -- what is told


def test_the_error_says_which_why_and_when(breaker, clock, driven):
    @driven
    async def _():
        await open_up(breaker)
        clock.advance(17.75)
        error = await outcome(breaker)
        assert (error.breaker, error.retry_in) == ("prices", 12.25)
        assert error.failure == "ConnectionRefusedError: Connection refused"
        assert str(error) == (
            "circuit 'prices' is open; the last failure was ConnectionRefusedError: Connection refused. "
            "It lets a trial call through in 12.2 s.\n"
            "  Until it closes, answer without the service, or tell your caller when to come back: error.retry_in."
        )
        assert isinstance(error, pybreaker.CircuitBreakerError)
        assert (error.__cause__, error.__context__) == (None, None)
        arrived = pickle.loads(pickle.dumps(error))
        assert (type(arrived), str(arrived)) == (type(error), str(error))


def test_the_error_of_a_half_open_circuit_says_that_a_trial_is_under_way():
    assert str(CircuitOpenError("prices", "", 0.0)) == (
        "circuit 'prices' is half-open. A trial call is under way.\n"
        "  Until it closes, answer without the service, or tell your caller when to come back: error.retry_in."
    )


class HttpError(Exception):
    def __str__(self):
        return f"401 for https://user:{SENTINEL}@host/?key={SENTINEL}"


LEAKS = [
    HttpError(),
    OSError(f"could not connect to postgres://u:{SENTINEL}@db"),
    OSError(2, SENTINEL, SENTINEL),
    ConnectionRefusedError(111, SENTINEL),
    KeyError(SENTINEL),
    resource_error(ValueError(SENTINEL)),
    ExceptionGroup(SENTINEL, [ValueError(SENTINEL)]),
]


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: type(leak).__name__)
def test_no_text_of_a_third_party_is_told(leak, clock, driven, caplog):
    caplog.set_level(logging.DEBUG)
    breaker = breaker_on(clock, fail_max=1)

    @driven
    async def _():
        await outcome(breaker, fail, leak)
        rejection = await outcome(breaker)
        told = [str(rejection), repr(rejection), repr(breaker), repr(breaker.last_failure)]
        assert SENTINEL not in "".join([*told, caplog.text])
        assert type(leak).__name__ in str(rejection)


def test_what_our_own_errors_and_the_kernel_say_is_told(clock, driven):
    breaker = breaker_on(clock)

    async def told(error):
        await outcome(breaker, fail, error)
        breaker.close()
        return str(breaker.last_failure)

    @driven
    async def _():
        refused = PostgresConnectError("db", "db:5432", "ada", "no answer within 2 s", "Check it.")
        assert await told(refused) == (
            "PostgresConnectError: 'db' could not connect to PostgreSQL at db:5432 as user 'ada': no answer within 2 s"
        )
        assert await told(resource_error(refused)) == f"StartError: {await told(refused)}"
        assert await told(ConnectionResetError(104, "x")) == (
            "ConnectionResetError: Connection reset by peer"
        )
        assert await told(TimeoutError()) == "TimeoutError"
        assert (
            await told(socket.gaierror(-2, "x")) == "gaierror"
        )  # its numbers are not the kernel's


def test_describe_says_what_may_be_told(clock, driven):
    breaker = breaker_on(clock, describe=lambda error: f"{error.args[0]} seen\nmore")

    @driven
    async def _():
        await outcome(breaker, fail, ValueError(503))
        assert breaker.last_failure == ("ValueError", "503 seen")
        await outcome(breaker, fail, ValueError())  # describe fails: the type is left
        assert breaker.last_failure == ("ValueError", "")
        await outcome(breaker, fail, ValueError("x" * 999))
        assert len(breaker.last_failure.text) == 200


def test_changes_of_state_are_logged(breaker, clock, driven, caplog):
    caplog.set_level(logging.INFO, logger="warmkit")

    @driven
    async def _():
        await open_up(breaker)
        clock.advance(30)
        await outcome(breaker, succeed)

    assert [(record.levelname, record.message) for record in caplog.records] == [
        (
            "WARNING",
            "circuit 'prices' is open; the last failure: ConnectionRefusedError: Connection refused",
        ),
        ("INFO", "circuit 'prices' is half-open"),
        ("INFO", "circuit 'prices' is closed"),
    ]


class Listener(pybreaker.CircuitBreakerListener):
    def __init__(self):
        self.heard = []

    def before_call(self, cb, func, *args, **kwargs):
        self.heard.append(("before", func.__name__, args, kwargs))

    def failure(self, cb, exc):
        self.heard.append(("failure", exc, cb.fail_counter))

    def success(self, cb):
        self.heard.append(("success", cb.current_state))

    def state_change(self, cb, old_state, new_state):
        self.heard.append((old_state.name, new_state.name, type(new_state)))


class Broken(pybreaker.CircuitBreakerListener):
    def before_call(self, cb, func, *args, **kwargs):
        raise ZeroDivisionError

    failure = success = state_change = before_call


def test_pybreakers_listeners_hear_everything_and_break_nothing(clock, driven, caplog):
    listener = Listener()
    breaker = breaker_on(clock, fail_max=1, listeners=[Broken(), listener])

    @driven
    async def _():
        await outcome(breaker, fail, DOWN)
        await outcome(breaker)  # rejected: nothing was called
        clock.advance(30)
        await outcome(breaker, int, "7")

    assert listener.heard == [
        ("before", "fail", (DOWN,), {}),
        ("failure", DOWN, 1),
        ("closed", "open", pybreaker.CircuitOpenState),
        ("open", "half-open", pybreaker.CircuitHalfOpenState),
        ("before", "int", ("7",), {}),
        ("half-open", "closed", pybreaker.CircuitClosedState),
        ("success", "closed"),
    ]
    assert caplog.text.count("a listener of circuit 'prices' failed") == 7


def test_what_pybreaker_offers_is_there(breaker, driven):
    listener = Listener()
    breaker.add_listener(listener)
    breaker.add_excluded_exception(ValueError)
    assert breaker.listeners == (listener,)
    assert breaker.excluded_exceptions == (ValueError,)
    assert (breaker.fail_max, breaker.reset_timeout, breaker.success_threshold) == (3, 30, 1)
    assert isinstance(breaker, pybreaker.CircuitBreaker)
    assert isinstance(breaker.state, pybreaker.CircuitClosedState)
    assert breaker.open() is False
    assert isinstance(breaker.state, pybreaker.CircuitOpenState)
    breaker.remove_listener(listener)
    breaker.close()
    breaker.half_open()
    assert [event[:2] for event in listener.heard] == [("closed", "open")]

    @driven
    async def _():
        breaker.fail_max = 1
        breaker.close()
        await outcome(breaker)
        assert breaker.current_state == "open"
