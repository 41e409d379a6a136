"""A resource that behaves as a test tells it to, and remembers what was done to it.

It knows public recipes only, so that it fits wherever a real resource does.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

from warmkit import Resource, resource

Step: TypeAlias = float | BaseException | Callable[[], Awaitable[object]] | None
"""How one start, check, refresh or close goes.

None: it succeeds at once. A number: it takes so many seconds. An exception: it is raised. A function without
parameters: what it returns is awaited (`event.wait`). `then` puts several into one.
"""


async def HANG() -> None:  # noqa: N802  a constant to those who use it
    """A step that never ends, unless it is cancelled."""
    await asyncio.get_running_loop().create_future()


def then(*steps: Step) -> Step:
    """Returns a step that is these, one after the other: `then(2.0, OSError("refused"))`.

    Args:
        *steps: What happens.
    """

    async def all_of_them() -> None:
        for step in steps:
            await _go(step)

    return all_of_them


class FakeValue:
    """What a `FakeResource` makes: numbered, and aware of its own end.

    Attributes:
        name: The name of its resource.
        number: Which value of its resource it is, from 1.
        needs: The values that it was built on, by parameter.
        closed: Its end has begun.
    """

    def __init__(self, fake: "FakeResource", number: int, needs: Mapping[str, Any]) -> None:
        self.name = fake.name
        self.number = number
        self.needs = dict(needs)
        self.closed = False
        self._fake = fake

    def use(self) -> int:
        """Does what a request does: uses the value and all that it is built on; returns its number.

        Raises:
            AssertionError: It, or one of those, is closed.
        """
        if self.closed:
            raise self._fake.found(f"{self!r} was used after its close")
        for needed in self.needs.values():
            if isinstance(needed, FakeValue):
                needed.use()
        return self.number

    def __repr__(self) -> str:
        return f"{self.name} {self.number}"


class FakeResource:
    """A scripted resource: `fake.resource` is the recipe, the rest says how it goes and what happened.

    Each list gives one step for each time; when it is used up, everything succeeds at once. A value whose
    dependencies are fakes uses them when it starts and when it closes, so that a wrong order is found.

    ```python
    db = FakeResource("db", starts=[OSError("refused"), 2.0], checks=[HANG])
    api = FakeResource("api", needs={"db": db})
    ```

    Args:
        name: The resource's name.
        starts: How each start goes.
        checks: How each check goes; None: the resource has no check.
        refreshes: How each refresh goes; None: it has no refresh.
        closes: How each close goes.
        needs: Fakes or resources for the factory, by parameter name.
        **options: Passed to `warmkit.resource`.

    Attributes:
        resource: The recipe.
        name: Its name.
        values: Every value that was made, in order.
        log: What was begun, in order: `"start 1"`, `"check 1"`, `"refresh 1"`, `"close 1"`.
        faults: What must never happen, and did; each was raised as an AssertionError too.
    """

    resource: Resource[FakeValue]

    def __init__(
        self,
        name: str = "fake",
        *,
        starts: Iterable[Step] = (),
        checks: Iterable[Step] | None = None,
        refreshes: Iterable[Step] | None = None,
        closes: Iterable[Step] = (),
        needs: "Mapping[str, FakeResource | Resource[Any]] | None" = None,
        **options: Any,
    ) -> None:
        self.name = name
        self.values: list[FakeValue] = []
        self.log: list[str] = []
        self.faults: list[str] = []
        self._attempts = 0
        self._starts, self._closes = iter(starts), iter(closes)
        self._checks, self._refreshes = iter(checks or ()), iter(refreshes or ())
        options.update({key: _recipe(needed) for key, needed in (needs or {}).items()})
        self.resource = resource(
            name=name,
            check=self._check if checks is not None else None,
            refresh=self._refresh if refreshes is not None else None,
            **options,
        )(self._live)

    @property
    def open(self) -> list[int]:
        """The numbers of the values that are not closed."""
        return [value.number for value in self.values if not value.closed]

    def found(self, fault: str) -> AssertionError:
        """Keeps a fault, also from those who swallow exceptions; returns the error to raise.

        Args:
            fault: What happened.
        """
        self.faults.append(fault)
        return AssertionError(fault)

    async def _live(self, **needs: Any) -> AsyncIterator[FakeValue]:
        self._attempts += 1
        self.log.append(f"start {self._attempts}")
        await _go(next(self._starts, None))
        value = FakeValue(self, len(self.values) + 1, needs)
        value.use()
        self.values.append(value)
        try:
            yield value
        except GeneratorExit:  # nobody closes it: a test that forgets to is to see it open
            raise
        except BaseException:
            await self._close(value)
            raise
        else:
            await self._close(value)

    async def _close(self, value: FakeValue) -> None:
        self.log.append(f"close {value.number}")
        value.use()  # what it was built on must be there still
        value.closed = True
        await _go(next(self._closes, None))

    async def _check(self, value: FakeValue) -> None:
        self.log.append(f"check {value.number}")
        value.use()
        await _go(next(self._checks, None))
        value.use()

    async def _refresh(self, value: FakeValue) -> None:
        self.log.append(f"refresh {value.number}")
        value.use()
        await _go(next(self._refreshes, None))
        value.use()

    def __repr__(self) -> str:
        return f"<FakeResource {self.name!r}>"


def _recipe(needed: "FakeResource | Resource[Any]") -> Resource[Any]:
    return needed.resource if isinstance(needed, FakeResource) else needed


async def _go(step: Step) -> None:
    if isinstance(step, BaseException):
        raise step
    if callable(step):
        await step()
    elif step is not None:
        await asyncio.sleep(step)
