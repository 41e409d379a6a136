"""The recipe of a breaker: what is refused, how long it lives, and who shares its state."""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

import pybreaker
import pytest
import redis

from warmkit import DefinitionError, Environment, StartError, warm_handler
from warmkit.resources import (
    CircuitBreaker,
    CircuitOpenError,
    MissingPackageError,
    circuit_breaker,
    postgres_pool,
)
from warmkit.testing import VirtualClock, run

SENTINEL = "s3ntinel"


class Elsewhere:
    """No listener, no storage, no clock."""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fail_max": 0}, "fail_max must be a whole number from 1, not 0"),
        ({"fail_max": True}, "fail_max must be a whole number from 1, not bool"),
        ({"fail_max": "5"}, "fail_max must be a whole number from 1, not str"),
        ({"success_threshold": 1.0}, "success_threshold must be a whole number from 1, not float"),
        ({"reset_timeout": -1}, "reset_timeout must be a number of seconds, 0 or more, not -1"),
        (
            {"reset_timeout": float("nan")},
            "reset_timeout must be a number of seconds, 0 or more, not nan",
        ),
        (
            {"reset_timeout": float("inf")},
            "reset_timeout must be a number of seconds, 0 or more, not inf",
        ),
        (
            {"reset_timeout": None},
            "reset_timeout must be a number of seconds, 0 or more, not NoneType",
        ),
        (
            {"exclude": ValueError},
            "exclude must be a list, not the class ValueError: exclude=[...]",
        ),
        (
            {"exclude": [int]},
            (
                "exclude takes exception types and functions, not the class int.\n"
                "  Write: exclude=[ValueError, lambda error: error.status < 500]"
            ),
        ),
        (
            {"exclude": ["ValueError"]},
            (
                "exclude takes exception types and functions, not str.\n"
                "  Write: exclude=[ValueError, lambda error: error.status < 500]"
            ),
        ),
        ({"listeners": "log"}, "listeners must be a list, not str: listeners=[...]"),
        (
            {"listeners": [Elsewhere()]},
            "listeners takes pybreaker's CircuitBreakerListeners, not Elsewhere",
        ),
        (
            {"listeners": [pybreaker.CircuitBreakerListener]},
            "listeners takes pybreaker's CircuitBreakerListeners, not the class CircuitBreakerListener",
        ),
        (
            {"state_storage": pybreaker.CircuitMemoryStorage},
            (
                "state_storage must be one of pybreaker's, or a function that makes one, "
                "not the class CircuitMemoryStorage.\n"
                "  Write: state_storage=lambda: CircuitRedisStorage(STATE_CLOSED, redis_client)"
            ),
        ),
        (
            {"state_storage": "redis://:s3ntinel@cache"},
            (
                "state_storage must be one of pybreaker's, or a function that makes one, not str.\n"
                "  Write: state_storage=lambda: CircuitRedisStorage(STATE_CLOSED, redis_client)"
            ),
        ),
        ({"describe": "text"}, "describe must be a function, or None, not str"),
        (
            {"clock": Elsewhere()},
            "clock must have a read method, as SystemClock has; Elsewhere has none",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_import(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        circuit_breaker(**arguments)
    assert str(caught.value) == message


def test_a_misspelt_option_is_refused() -> None:
    with pytest.raises(TypeError, match="fail_maxx"):
        circuit_breaker(fail_maxx=5)


def test_a_pool_takes_the_recipe_and_nothing_else() -> None:
    with pytest.raises(DefinitionError, match="what circuit_breaker\\(\\) returned, not int"):
        postgres_pool("postgresql://a@b/c", breaker=5)
    recipe = circuit_breaker()
    assert postgres_pool("postgresql://a@b/c", breaker=recipe).dependencies == (recipe,)
    assert postgres_pool("postgresql://a@b/c").dependencies == ()


def test_nothing_that_can_be_printed_shows_an_argument() -> None:
    recipe = circuit_breaker(exclude=[lambda error: SENTINEL in str(error)], name="prices")
    assert SENTINEL not in repr(recipe) + repr(recipe.factory) + repr(recipe.options)


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name in {"pybreaker", "warmkit.resources.breaker.breaker"}:
            monkeypatch.delitem(sys.modules, name)

    class Missing:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "pybreaker":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])

    async def main() -> None:
        async with Environment() as environment:
            await environment.get(circuit_breaker())

    with pytest.raises(StartError) as caught:
        asyncio.run(main())
    assert isinstance(caught.value.__cause__, MissingPackageError)
    assert "pip install 'warmkit[breaker]'" in str(caught.value)
    import warmkit.resources

    with pytest.raises(MissingPackageError):
        warmkit.resources.CircuitBreaker  # noqa: B018  the look-up is what fails


# -- its life


def failing(recipe: Any) -> Any:
    @warm_handler(prices=recipe)
    async def handler(event: Any, context: object, prices: CircuitBreaker) -> Any:
        async with prices:
            if event == "bad":
                raise OSError
            return prices

    return handler


def test_it_learns_once_for_all_invocations_of_an_environment(clock: VirtualClock) -> None:
    handler = failing(circuit_breaker(fail_max=2, reset_timeout=600, clock=clock))

    async def live() -> None:
        async with Environment(clock=clock) as environment:
            for _ in range(2):
                with pytest.raises(OSError):  # noqa: PT011  its own, with no text
                    await handler.invoke("bad")
                clock.freeze(300)
            with pytest.raises(CircuitOpenError, match="circuit 'prices' is open") as caught:
                await handler.invoke("good")
            assert caught.value.retry_in == 300
            clock.freeze(300)
            assert (await handler.invoke("good")).current_state == "closed"
            assert environment.statistics.resources["prices"].starts == 1

    run(live(), clock=clock)
    run(live(), clock=clock)  # another environment has to learn by itself


def test_a_given_name_goes_before_the_parameters(clock: VirtualClock) -> None:
    async def live() -> None:
        async with Environment(clock=clock):
            assert (await failing(circuit_breaker(name="api")).invoke("good")).name == "api"

    run(live(), clock=clock)


# -- snapshots


def test_a_breaker_is_kept_unless_it_makes_a_storage_which_is_a_connection() -> None:
    memory = pybreaker.CircuitMemoryStorage("closed")
    assert circuit_breaker().options.snapshot == "keep"
    assert circuit_breaker(state_storage=memory).options.snapshot == "keep"
    assert circuit_breaker(state_storage=lambda: memory).options.snapshot == "close"


# -- storages


def pair(storage: Any, clock: VirtualClock, **options: Any) -> tuple[CircuitBreaker, ...]:
    """Two breakers that share a storage, as those of two environments do."""
    return tuple(
        CircuitBreaker(2, 30, state_storage=storage, name=name, clock=clock, **options)
        for name in ("one", "two")
    )


def break_down(breaker: CircuitBreaker) -> None:
    while breaker.current_state != "open":
        with pytest.raises(OSError), breaker.calling():  # noqa: PT011  its own, with no text
            raise OSError


def test_who_shares_a_storage_shares_the_state(clock: VirtualClock) -> None:
    one, two = pair(pybreaker.CircuitMemoryStorage("closed"), clock)
    break_down(one)
    clock.advance(10)
    with pytest.raises(CircuitOpenError) as caught, two.calling():
        raise AssertionError
    assert (caught.value.retry_in, caught.value.failure) == (20, "")  # counted from its opening
    clock.advance(20)
    with two.calling():
        pass
    with one.calling():
        pass
    assert (one.current_state, one.fail_counter) == ("closed", 0)


def test_noticing_a_change_made_elsewhere_forgets_nothing_that_was_counted(
    clock: VirtualClock,
) -> None:
    one, two = pair(pybreaker.CircuitMemoryStorage("closed"), clock)
    break_down(one)
    assert two.state.name == "open"
    one.close()
    with pytest.raises(OSError), one.calling():  # noqa: PT011  its own, with no text
        raise OSError
    assert (two.state.name, two.fail_counter) == ("closed", 1)


def test_a_circuit_that_was_opened_again_elsewhere_is_waited_for_anew(clock: VirtualClock) -> None:
    storage = pybreaker.CircuitMemoryStorage("closed")
    one, two = pair(storage, clock)
    break_down(one)
    assert two.retry_in == 30
    clock.advance(30)
    one.half_open()
    break_down(one)
    assert two.retry_in == 30


def test_another_processs_wall_clock_ahead_of_ours_delays_by_reset_timeout_at_most(
    clock: VirtualClock,
) -> None:
    storage = pybreaker.CircuitMemoryStorage("open")
    storage.opened_at = datetime.fromtimestamp(clock.read().wall + 3600, UTC)
    (breaker, _) = pair(storage, clock)
    clock.advance(29)
    assert breaker.retry_in == 1
    clock.advance(1)
    assert breaker.retry_in == 0


def test_a_storage_without_time_zones_means_utc(clock: VirtualClock) -> None:
    storage = pybreaker.CircuitMemoryStorage("open")
    moment = datetime.fromtimestamp(clock.read().wall - 10, UTC)
    storage.opened_at = moment.replace(tzinfo=None)
    assert pair(storage, clock)[0].retry_in == 20


def test_a_storage_that_does_not_know_when_counts_from_the_start(clock: VirtualClock) -> None:
    (breaker, _) = pair(pybreaker.CircuitMemoryStorage("open"), clock)
    assert breaker.retry_in == 30
    clock.advance(30)
    with breaker.calling():
        pass
    assert breaker.current_state == "closed"


def test_a_function_makes_the_storage_at_the_start_of_each_environment(
    clock: VirtualClock,
) -> None:
    made: list[pybreaker.CircuitBreakerStorage] = []

    def make() -> pybreaker.CircuitBreakerStorage:
        made.append(pybreaker.CircuitMemoryStorage("open"))
        return made[-1]

    recipe = circuit_breaker(state_storage=make, clock=clock)
    assert made == []

    async def live() -> str:
        async with Environment(clock=clock) as environment:
            breaker = await environment.get(recipe)
            return breaker.current_state

    assert [run(live(), clock=clock) for _ in range(2)] == ["open", "open"]
    assert len(made) == 2


class FakeRedis:
    """As much of a Redis client as pybreaker's storage calls; it can be away."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.away = False

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if self.away:
            raise redis.ConnectionError("away")

    def get(self, key: str) -> bytes | None:
        self._note(f"get {key}")
        return self.data.get(key)

    def set(self, key: str, value: object) -> None:
        self._note(f"set {key}")
        self.data[key] = str(value).encode()

    def setnx(self, key: str, value: object) -> None:
        self._note(f"setnx {key}")
        self.data.setdefault(key, str(value).encode())

    def incr(self, key: str) -> None:
        self._note(f"incr {key}")
        self.data[key] = str(int(self.data.get(key, b"0")) + 1).encode()

    def multi(self) -> None:
        pass

    def transaction(self, function: Any, *keys: str) -> None:
        function(self)


def redis_pair(server: FakeRedis, clock: VirtualClock) -> tuple[CircuitBreaker, ...]:
    storage = pybreaker.CircuitRedisStorage("closed", server)
    return pair(storage, clock)


def test_pybreakers_redis_storage_works(clock: VirtualClock) -> None:
    clock.advance(0.5)  # Redis keeps whole seconds
    one, two = redis_pair(FakeRedis(), clock)
    break_down(one)
    assert (one.retry_in, two.retry_in) == (29.5, 29.5)
    clock.advance(29.5)
    with two.calling():
        pass
    assert (one.state.name, one.fail_counter) == ("closed", 0)


def test_a_call_costs_redis_three_round_trips(clock: VirtualClock) -> None:
    server = FakeRedis()
    one, _ = redis_pair(server, clock)
    server.calls.clear()
    with one.calling():
        pass
    assert server.calls == [
        "get pybreaker:state",
        "get pybreaker:state",
        "set pybreaker:fail_counter",
    ]


def test_a_redis_whose_time_was_later_delays_by_reset_timeout_at_most(clock: VirtualClock) -> None:
    """Its opened_at only grows: after a wall clock was set back it is not written."""
    one, _ = redis_pair(FakeRedis(), clock)
    break_down(one)
    one.close()
    clock.set_wall(clock.read().wall - 3600)
    break_down(one)
    assert one.retry_in == 30
    clock.advance(30)
    assert one.retry_in == 0


@pytest.mark.parametrize("fallback", ["closed", "open"])
def test_while_redis_is_away_its_fallback_counts_and_nothing_recurses(
    fallback: str, clock: VirtualClock
) -> None:
    server = FakeRedis()
    storage = pybreaker.CircuitRedisStorage(
        "closed",
        server,
        fallback_circuit_state=fallback,
    )
    breaker = CircuitBreaker(2, 30, state_storage=storage, clock=clock)
    server.away = True
    if fallback == "open":
        with pytest.raises(CircuitOpenError), breaker.calling():
            raise AssertionError
        clock.advance(30)
    with breaker.calling():
        pass
    server.away = False
    with breaker.calling():
        pass
    assert breaker.current_state == "closed"
