"""Recipes: what a resource is made of and how it stays fresh. Nothing here is alive.

A `Resource` is an immutable recipe, shared by whoever names it; the live value is an `Environment`'s.
"""

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
)
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    NamedTuple,
    Protocol,
    TypeAlias,
    TypeGuard,
    TypeVar,
    cast,
    get_args,
    overload,
)

from warmkit.errors import DefinitionError
from warmkit.freshness import Limits
from warmkit.inject import Injectable, Need, Wants, read_factory, similar

if TYPE_CHECKING:
    from datetime import datetime  # not loaded by a program that has no use for it

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

Scope: TypeAlias = Literal["environment", "invocation"]
Start: TypeAlias = Literal["lazy", "eager", "auto"]
Snapshot: TypeAlias = Literal["keep", "close", "auto"]
Probe: TypeAlias = Callable[[T], bool]
"""Free and synchronous: True while the value looks alive."""
Work: TypeAlias = Callable[[T], Awaitable[object] | None]
"""A check or a refresh: raises if the value is dead. May be `async`."""
Moment: TypeAlias = "float | datetime"
"""Seconds since the Unix epoch, or an aware datetime."""
Expiry: TypeAlias = Callable[[T], "Moment | None"]
"""When the value expires; None: never."""

DEFAULT_MAX_GAP = 300.0
"""Seconds. NAT gateways and network load balancers drop idle flows at 350 s.

Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html
"""


class Options(NamedTuple):
    """Everything a recipe says beside its factory; `resource` explains each."""

    scope: Scope = "environment"
    check_after: float = 1.0
    check_timeout: float = 1.0
    start_timeout: float = 5.0
    close_timeout: float = 0.25
    max_gap: float | None = None
    max_age: float | None = None
    start: Start = "auto"
    enter: bool = True
    snapshot: Snapshot = "auto"


class Hooks(NamedTuple, Generic[T]):
    """How a live value is looked after; None: not at all."""

    alive: Probe[T] | None = None
    check: Work[T] | None = None
    refresh: Work[T] | None = None
    expires_at: Expiry[T] | None = None


class Resource(Injectable, Generic[T]):
    """A recipe for one value of type `T`. Made with `resource`, or ready-made in `warmkit.resources`.

    Hooks can be attached, as decorators, until a handler or another resource first takes it; from then
    on nothing about it changes. One object is one resource: two handlers share a pool by naming the same one.

    Attributes:
        factory: What starts it.
        options: Scope, limits and deadlines.
        checked: Its wiring was found sound.
    """

    __slots__ = (
        "__weakref__",
        "_hooks",
        "_name",
        "_named",
        "_needs",
        "_sealed",
        "checked",
        "factory",
        "options",
    )

    def __init__(
        self,
        factory: Callable[..., object],
        *,
        name: str | None = None,
        options: Options = Options(),  # noqa: B008  immutable
        hooks: Hooks[T] | None = None,
        dependencies: "Mapping[str, Resource[Any]] | None" = None,
    ) -> None:
        _refuse_wrong(factory, options, hooks or Hooks())
        _refuse_what_is_no_resource(dependencies or {})
        self.factory = factory
        self.options = options
        self._hooks: Hooks[T] = hooks or Hooks()
        self._name = name
        self._named = dict(dependencies or {})
        self._needs: tuple[Need, ...] | None = None
        self._sealed = False
        self.checked = False

    @property
    def name(self) -> str:
        """What it is called in events and errors: given, or that of the first parameter that takes it."""
        return self._name or str(getattr(self.factory, "__name__", type(self.factory).__name__))

    @property
    def hooks(self) -> Hooks[T]:
        """How the live value is looked after."""
        return self._hooks

    @property
    def needs(self) -> tuple[Need, ...]:
        """The factory's injected parameters; read at the first wiring, when all names exist."""
        if self._needs is None:
            self._needs = read_factory(self.factory, self._named)
        return self._needs

    @property
    def injected(self) -> "list[tuple[str, Resource[Any], bool]]":
        """The factory's parameters that take a resource: name, resource, and whether lazily."""
        return [
            (need.parameter, need.resource, need.wants is Wants.LAZY)
            for need in self.needs
            if is_resource(need.resource)
        ]

    @property
    def dependencies(self) -> "tuple[Resource[Any], ...]":
        """The resources that must live before this one starts; lazy ones are not among them."""
        return tuple(resource for _, resource, lazy in self.injected if not lazy)

    @property
    def limits(self) -> Limits:
        """The options as the freshness decision takes them."""
        can_check, can_refresh = self._hooks.check is not None, self._hooks.refresh is not None
        max_gap = self.options.max_gap
        if max_gap is None and (can_check or can_refresh):
            max_gap = DEFAULT_MAX_GAP  # without either nothing says that it can go stale
        return Limits(
            self.options.check_after, max_gap, self.options.max_age, can_check, can_refresh
        )

    @property
    def perishable(self) -> bool:
        """Whether it says anything of going stale."""
        hooks = self._hooks
        return bool(hooks.alive or hooks.check or hooks.refresh) or self.limits.max_gap is not None

    def alive(self, probe: F) -> F:
        """Decorator: `probe(value) -> bool`, asked on every use; must be free and never wait."""
        self._attach(alive=probe)
        return probe

    def check(self, work: F) -> F:
        """Decorator: `work(value)` proves that the value works, over the path that a request uses."""
        self._attach(check=work)
        return work

    def refresh(self, work: F) -> F:
        """Decorator: `work(value)` renews it cheaply after a long gap, instead of a rebuild."""
        self._attach(refresh=work)
        return work

    def expires_at(self, expiry: F) -> F:
        """Decorator: `expiry(value)` says when it expires: Unix seconds, an aware datetime, or None."""
        self._attach(expires_at=expiry)
        return expiry

    def seal(self, name: str | None = None) -> None:
        """Makes it final; a recipe without a name takes this one. Wiring calls it."""
        self._sealed = True
        if self._name is None:
            self._name = name

    def _attach(self, **hook: Callable[..., Any]) -> None:
        ((kind, function),) = hook.items()
        if self._sealed:
            raise DefinitionError(
                f"resource {self.name!r} is in use already, so its {kind} cannot change.\n"
                f"  Attach it where the resource is defined, above the first handler that takes it."
            )
        _refuse_uncallable(kind, function)
        self._hooks = self._hooks._replace(**hook)

    def __repr__(self) -> str:
        return f"<Resource {self.name!r}>"


def is_resource(item: object) -> TypeGuard[Resource[Any]]:
    """Whether it is a recipe."""
    return isinstance(item, Resource)


def is_lasting(resource: Resource[Any]) -> bool:
    """Whether it lives as long as the environment."""
    return resource.options.scope == "environment"


class ResourceDecorator(Protocol):
    """`resource(...)` with options, waiting for its factory."""

    @overload
    def __call__(
        self, factory: Callable[..., AbstractAsyncContextManager[T, Any]], /
    ) -> Resource[T]: ...
    @overload
    def __call__(
        self, factory: Callable[..., AbstractContextManager[T, Any]], /
    ) -> Resource[T]: ...
    @overload
    def __call__(self, factory: Callable[..., AsyncIterator[T]], /) -> Resource[T]: ...
    @overload
    def __call__(self, factory: Callable[..., Iterator[T]], /) -> Resource[T]: ...
    @overload
    def __call__(self, factory: Callable[..., Coroutine[Any, Any, T]], /) -> Resource[T]: ...
    @overload
    def __call__(self, factory: Callable[..., T], /) -> Resource[T]: ...


class UnenteredDecorator(Protocol):
    """`resource(enter=False, ...)`, waiting for its factory: a context manager is a value like any other."""

    @overload
    def __call__(self, factory: Callable[..., AsyncIterator[T]], /) -> Resource[T]: ...
    @overload
    def __call__(self, factory: Callable[..., Iterator[T]], /) -> Resource[T]: ...
    @overload
    def __call__(self, factory: Callable[..., Coroutine[Any, Any, T]], /) -> Resource[T]: ...
    @overload
    def __call__(self, factory: Callable[..., T], /) -> Resource[T]: ...


@overload
def resource(factory: Callable[..., AbstractAsyncContextManager[T, Any]], /) -> Resource[T]: ...
@overload
def resource(factory: Callable[..., AbstractContextManager[T, Any]], /) -> Resource[T]: ...
@overload
def resource(factory: Callable[..., AsyncIterator[T]], /) -> Resource[T]: ...
@overload
def resource(factory: Callable[..., Iterator[T]], /) -> Resource[T]: ...
@overload
def resource(factory: Callable[..., Coroutine[Any, Any, T]], /) -> Resource[T]: ...
@overload
def resource(factory: Callable[..., T], /) -> Resource[T]: ...
@overload
def resource(  # type: ignore[overload-overlap]  # False is a bool too, and told apart first
    *,
    name: str | None = None,
    scope: Scope = "environment",
    alive: Probe[Any] | None = None,
    check: Work[Any] | None = None,
    check_after: float = 1.0,
    check_timeout: float = 1.0,
    start_timeout: float = 5.0,
    close_timeout: float = 0.25,
    refresh: Work[Any] | None = None,
    max_gap: float | None = None,
    max_age: float | None = None,
    expires_at: Expiry[Any] | None = None,
    start: Start = "auto",
    enter: Literal[False],
    snapshot: Snapshot = "auto",
    **dependencies: Resource[Any],
) -> UnenteredDecorator: ...
@overload
def resource(
    *,
    name: str | None = None,
    scope: Scope = "environment",
    alive: Probe[Any] | None = None,
    check: Work[Any] | None = None,
    check_after: float = 1.0,
    check_timeout: float = 1.0,
    start_timeout: float = 5.0,
    close_timeout: float = 0.25,
    refresh: Work[Any] | None = None,
    max_gap: float | None = None,
    max_age: float | None = None,
    expires_at: Expiry[Any] | None = None,
    start: Start = "auto",
    enter: bool = True,
    snapshot: Snapshot = "auto",
    **dependencies: Resource[Any],
) -> ResourceDecorator: ...


def resource(
    factory: Callable[..., object] | None = None,
    /,
    *,
    name: str | None = None,
    scope: Scope = "environment",
    alive: Probe[Any] | None = None,
    check: Work[Any] | None = None,
    check_after: float = 1.0,
    check_timeout: float = 1.0,
    start_timeout: float = 5.0,
    close_timeout: float = 0.25,
    refresh: Work[Any] | None = None,
    max_gap: float | None = None,
    max_age: float | None = None,
    expires_at: Expiry[Any] | None = None,
    start: Start = "auto",
    enter: bool = True,
    snapshot: Snapshot = "auto",
    **dependencies: Resource[Any],
) -> Resource[Any] | ResourceDecorator | UnenteredDecorator:
    """Declares a resource: decorates the function that makes it.

    The factory is an async generator or a generator that yields the value once (what follows the yield closes
    it), an (async) function that returns it, or anything that returns an (async) context manager, whose
    entered value it is then. Its own parameters are injected as a handler's are. It runs from start to close
    in one task of its own.

    ```python
    @resource(check_after=30)
    async def search(db: Annotated[asyncpg.Pool, db]) -> AsyncIterator[Search]:
        client = await Search.connect()
        yield client
        await client.aclose()

    @search.check
    async def _(client: Search) -> None:
        await client.ping()
    ```

    Args:
        factory: The function, when used as a bare decorator.
        name: What it is called in events and errors; default: the first parameter that takes it.
        scope: "environment": started once and kept. "invocation": started for each invocation and finished
            with its outcome: a generator sees the handler's exception at its yield.
        alive: `alive(value) -> bool`, asked on every use. False makes the value suspect, however short the gap.
        check: `check(value)`, may be async; raises if the value does not work.
        check_after: Seconds of gap up to which the value is trusted without a check.
        check_timeout: Seconds for a check or a refresh.
        start_timeout: Seconds for a start.
        close_timeout: Seconds for a close.
        refresh: `refresh(value)`, may be async; renews the value after a gap above `max_gap`.
        max_gap: Seconds of gap above which the value is not even checked, but refreshed, or rebuilt. Default:
            300 where there is a check or a refresh, else never.
        max_age: Seconds after its start at which it is rebuilt, the new one before the old one goes.
        expires_at: `expires_at(value)` says when it must be rebuilt: Unix seconds or an aware datetime.
        start: "lazy": on first use. "eager": in the init phase. "auto": eager where nobody waits for init.
        enter: Whether a context manager that the factory returns is entered; False hands it out as it is.
        snapshot: What SnapStart may clone. "close": closed before a snapshot is taken, and started anew after a restore.
            "keep": kept, and proven before its next use. "auto": kept if there is nothing to close, and nothing says
            that it can go stale. What is built on a closed value is closed with it.
        **dependencies: Resources for the factory's parameters, by name.

    Raises:
        DefinitionError: An option or a parameter can never work.
    """
    options = Options(
        scope,
        check_after,
        check_timeout,
        start_timeout,
        close_timeout,
        max_gap,
        max_age,
        start,
        enter,
        snapshot,
    )
    hooks: Hooks[Any] = Hooks(alive, check, refresh, expires_at)

    def decorate(factory: Callable[..., object]) -> Resource[Any]:
        called = getattr(factory, "__name__", "")
        return Resource(
            factory,
            name=name
            or (called if called.isidentifier() else None),  # a lambda has no name of its own
            options=options,
            hooks=hooks,
            dependencies=dependencies,
        )

    return decorate(factory) if factory is not None else cast("ResourceDecorator", decorate)


def _refuse_wrong(factory: object, options: Options, hooks: Hooks[Any]) -> None:
    _refuse_uncallable("factory", factory)
    for kind, hook in zip(Hooks._fields, hooks, strict=True):
        if hook is not None:
            _refuse_uncallable(kind, hook)
    for field, choice in (("scope", Scope), ("start", Start), ("snapshot", Snapshot)):
        allowed = get_args(choice)
        if getattr(options, field) not in allowed:
            words = " or ".join(repr(word) for word in allowed)
            raise DefinitionError(f"{field} must be {words}, not {getattr(options, field)!r}")
    for field in ("check_after", "check_timeout", "start_timeout", "close_timeout"):
        _refuse_unless_seconds(field, getattr(options, field))
    for field in ("max_gap", "max_age"):
        if getattr(options, field) is not None:
            _refuse_unless_seconds(field, getattr(options, field))


def _refuse_what_is_no_resource(dependencies: Mapping[str, object]) -> None:
    for name, item in dependencies.items():
        if not is_resource(item):
            options = [*Options._fields, *Hooks._fields, "name"]
            meant = similar(name, options) or (
                f"Make one: {name}=resource(lambda: ...), and pass plain values in the factory itself."
            )
            raise DefinitionError(
                f"{name}=... ({type(item).__name__}) is neither an option of resource, nor a resource for the "
                f"factory's parameter.\n  {meant}"
            )


def _refuse_uncallable(kind: str, function: object) -> None:
    if not callable(function):
        raise DefinitionError(
            f"a resource's {kind} must be a function, not {type(function).__name__}"
        )


def _refuse_unless_seconds(field: str, value: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not cast("float", value) >= 0:
        harmless = value is None or isinstance(value, int | float)
        found = repr(value) if harmless else f"a {type(value).__name__}"  # a text may be a DSN
        raise DefinitionError(f"{field} must be a number of seconds, 0 or more, not {found}")
