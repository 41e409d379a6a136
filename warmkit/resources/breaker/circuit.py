"""The recipe of a circuit breaker that lives as long as the environment: it learns once, and across freezes."""

import asyncio
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from warmkit import Clock, DefinitionError, Resource, resource

if TYPE_CHECKING:
    import pybreaker

    from warmkit.resources.breaker.breaker import CircuitBreaker, Exclusion
    from warmkit.resources.breaker.outcome import Describe

    Storage: TypeAlias = pybreaker.CircuitBreakerStorage
    Listener: TypeAlias = pybreaker.CircuitBreakerListener

_LISTENER = ("before_call", "failure", "success", "state_change")
_STORAGE = ("state", "opened_at", "counter", "success_counter", "increment_counter")


def circuit_breaker(
    *,
    fail_max: int = 5,
    reset_timeout: float = 30.0,
    success_threshold: int = 1,
    exclude: "Iterable[Exclusion]" = (),
    listeners: "Iterable[Listener]" = (),
    state_storage: "Storage | Callable[[], Storage] | None" = None,
    name: str | None = None,
    describe: "Describe | None" = None,
    clock: Clock | None = None,
) -> "Resource[CircuitBreaker]":
    """Returns the recipe of a circuit breaker: while a service is down, calls to it fail at once.

    It is pybreaker's, with its states, counters, storages and listeners, made right for asyncio. What passes and what
    counts is said at `CircuitBreaker`.

    ```python
    @warm_handler(prices=circuit_breaker(fail_max=3), http=http)
    async def handler(event, context, prices, http):
        async with prices:
            async with asyncio.timeout(2):
                return await http.get(URL)
    ```

    Args:
        fail_max: Failures in a row that open it.
        reset_timeout: Seconds that it stays open, freezes included.
        success_threshold: Successful trials in a row that close it.
        exclude: Exceptions that mean that the service has answered: types, or functions `exclude(error) -> bool`.
        listeners: pybreaker's `CircuitBreakerListener`s.
        state_storage: One of pybreaker's, to share the state with other environments, or a function that makes it at
            the start. Storages are synchronous: the event loop waits for Redis in each call.
        name: What errors and logs call it; default: the first parameter that takes it.
        describe: `describe(error) -> str`, what errors and logs may tell of a failure. Default: its type, and its text
            where it is warmkit's or the kernel's; a third party's may hold a URL with a token.
        clock: Where the time comes from; for tests.

    Raises:
        DefinitionError: An argument can never work.
    """
    exclusions, told = _listed("exclude", exclude), _listed("listeners", listeners)
    _refuse_wrong_numbers(fail_max, reset_timeout, success_threshold)
    _refuse_wrong_parts(exclusions, told, state_storage)
    _refuse_wrong_functions(describe, clock)

    options: dict[str, Any] = {
        "fail_max": fail_max,
        "reset_timeout": reset_timeout,
        "success_threshold": success_threshold,
        "exclude": exclusions,
        "listeners": told,
        "describe": describe,
        "clock": clock,
    }
    factory = _BreakerFactory(state_storage, options)
    # Its own `async with` is for calls: entered at the start, it would be one that never ends. A storage that is made at
    # the start holds a connection.
    factory.recipe = resource(
        name=name, enter=False, snapshot="close" if callable(state_storage) else "keep"
    )(factory)
    return factory.recipe


class _BreakerFactory:
    """Makes a breaker: one for each environment that uses the recipe.

    A plain class, not a dataclass or a partial: nothing may print its arguments.
    """

    recipe: "Resource[CircuitBreaker]"

    def __init__(
        self, storage: "Storage | Callable[[], Storage] | None", options: Mapping[str, Any]
    ) -> None:
        self._storage = storage
        self._options = options

    async def __call__(self) -> "CircuitBreaker":
        from warmkit.resources.breaker.breaker import CircuitBreaker

        storage = self._storage
        if callable(storage):
            storage = await asyncio.to_thread(storage)  # making one may ask Redis
        return CircuitBreaker(**self._options, state_storage=storage, name=self.recipe.name)


def _listed(option: str, items: Any) -> list[Any]:
    if isinstance(items, str) or not _has(items, ("__iter__",)):
        raise DefinitionError(f"{option} must be a list, not {_kind(items)}: {option}=[...]")
    return list(items)


def _refuse_wrong_numbers(fail_max: object, reset_timeout: object, threshold: object) -> None:
    for option, count in (("fail_max", fail_max), ("success_threshold", threshold)):
        if type(count) is not int or count < 1:
            came = str(count) if type(count) is int else _kind(count)
            raise DefinitionError(f"{option} must be a whole number from 1, not {came}")
    number = isinstance(reset_timeout, int | float) and not isinstance(reset_timeout, bool)
    if not number or not 0 <= cast("float", reset_timeout) < math.inf:
        came = str(reset_timeout) if number else _kind(reset_timeout)
        raise DefinitionError(f"reset_timeout must be a number of seconds, 0 or more, not {came}")


def _refuse_wrong_parts(exclusions: list[Any], listeners: list[Any], storage: object) -> None:
    for item in exclusions:
        if not (issubclass(item, BaseException) if inspect.isclass(item) else callable(item)):
            raise DefinitionError(
                f"exclude takes exception types and functions, not {_kind(item)}.\n"
                "  Write: exclude=[ValueError, lambda error: error.status < 500]"
            )
    for item in listeners:
        if inspect.isclass(item) or not _has(item, _LISTENER):
            raise DefinitionError(
                f"listeners takes pybreaker's CircuitBreakerListeners, not {_kind(item)}"
            )
    makes_one = callable(storage) and not inspect.isclass(storage)
    if storage is not None and not makes_one and not _has(storage, _STORAGE):
        raise DefinitionError(
            f"state_storage must be one of pybreaker's, or a function that makes one, not {_kind(storage)}.\n"
            "  Write: state_storage=lambda: CircuitRedisStorage(STATE_CLOSED, redis_client)"
        )


def _refuse_wrong_functions(describe: object, clock: object) -> None:
    if describe is not None and not callable(describe):
        raise DefinitionError(f"describe must be a function, or None, not {_kind(describe)}")
    if clock is not None and not callable(getattr(clock, "read", None)):
        raise DefinitionError(
            f"clock must have a read method, as SystemClock has; {_kind(clock)} has none"
        )


def _has(item: object, names: tuple[str, ...]) -> bool:
    """Whether it has them; looked for on its type, as a storage's attributes would ask Redis."""
    return all(hasattr(type(item), name) for name in names)


def _kind(item: object) -> str:
    return f"the class {item.__name__}" if inspect.isclass(item) else type(item).__name__
