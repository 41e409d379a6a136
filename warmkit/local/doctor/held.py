"""What the user's modules hold on to from call to call: globals, class attributes, defaults, closures.

It looks and calls nothing: no property, no `__getattr__` of the user's.
"""

from __future__ import annotations

import functools
from collections import deque
from contextlib import suppress
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from warmkit import Resource
from warmkit.local.doctor.finding import Place
from warmkit.local.doctor.source import is_own
from warmkit.local.target import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from warmkit.local.doctor.source import Source

_ATOMS = {str, bytes, int, float, bool, type(None)}
_CONTAINERS = (dict, list, tuple, set, frozenset, deque)
_LONGEST_KEY = 40
_DEEPEST = 5
_MOST_ITEMS = 200
_MOST = 20_000
"""Enough for any handler; a table of a million rows is not walked."""


class Held(NamedTuple):
    """One value that outlives a call.

    Attributes:
        path: How the code reaches it: "app.cache", "app.Client.lock", "app.handler, default of files".
        value: The object.
        place: Where the code says so, as near as can be known.
    """

    path: str
    value: Any
    place: Place


def held_by(sources: Iterable[Source]) -> tuple[Held, ...]:
    """Return everything that the modules hold, each object once."""
    sources = tuple(sources)
    walk = _Walk({source.name: source for source in sources})
    found: list[Held] = []
    for source in sources:
        for item in walk.module(source):
            found.append(item)
            if len(found) >= _MOST:
                return tuple(found)
    return tuple(found)


def kind_of(value: object) -> type[Any]:
    """Return a value's real class, whatever it says of itself."""
    return type(value)


def kinds_of(value: object) -> list[tuple[str, str]]:
    """Return (module, name) of its class and all that the class inherits."""
    return [(str(kind.__module__), kind.__name__) for kind in type(value).__mro__]


class _Walk:
    def __init__(self, own: Mapping[str, Source]) -> None:
        self._own = own
        self._seen: set[int] = set()

    def module(self, source: Source) -> Iterator[Held]:
        for name, value in list(vars(source.module).items()):
            if name.startswith("__") or name in source.imported or isinstance(value, ModuleType):
                continue
            place = source.place(source.assigned.get(name, 0))
            yield from self._value(Held(f"{source.name}.{name}", value, place), _DEEPEST)

    def _value(self, held: Held, depth: int) -> Iterator[Held]:
        if depth == 0 or id(held.value) in self._seen:
            return
        yield held
        if type(held.value) in _ATOMS:  # equal ones are one object
            return
        self._seen.add(id(held.value))
        with suppress(Exception):  # an object that does not let itself be looked at
            for inner in list(self._inside(held)):
                yield from self._value(inner, depth - 1)

    def _inside(self, held: Held) -> Iterator[Held]:
        kind = kind_of(held.value)
        if issubclass(kind, _CONTAINERS):
            yield from _contained(held)
        elif kind is FunctionType:
            yield from self._function(held)
        elif issubclass(kind, type):
            yield from self._class(held)
        elif inner := _wrapped(held.value):
            yield from (Held(held.path, item, held.place) for item in inner)
        elif kind.__module__ in self._own:
            yield from self._attributes(held, _dict_of(held.value))

    def _function(self, held: Held) -> Iterator[Held]:
        function: FunctionType = held.value
        if function.__module__ not in self._own:
            return
        code = function.__code__
        own = is_own(code.co_filename)
        place = Place(shown(code.co_filename), code.co_firstlineno) if own else held.place
        names = code.co_varnames[: code.co_argcount]
        defaults = function.__defaults__ or ()
        given = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
        for name, default in {**given, **(function.__kwdefaults__ or {})}.items():
            yield Held(f"{held.path}, default of {name}", default, place)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # it is empty
                yield Held(f"{held.path}, closure over {name}", cell.cell_contents, place)
        for name, value in vars(function).items():
            yield Held(f"{held.path}.{name}", value, place)

    def _class(self, held: Held) -> Iterator[Held]:
        source = self._own.get(held.value.__module__)
        if source is None:
            return
        for inner in self._attributes(held, dict(type.__dict__["__dict__"].__get__(held.value))):
            name = inner.path.rpartition(".")[2]
            line = source.attributes.get((held.value.__name__, name))
            yield inner if line is None else inner._replace(place=source.place(line))

    def _attributes(self, held: Held, attributes: dict[str, object]) -> Iterator[Held]:
        for name, value in attributes.items():
            if not name.startswith("__") or name in ("__init__", "__call__"):
                yield Held(f"{held.path}.{name}", value, held.place)


def _contained(held: Held) -> Iterator[Held]:
    items = _pairs(held.value)
    for key, item in items[:_MOST_ITEMS]:
        shown_key = repr(key) if isinstance(key, str | int) else f"<{type(key).__name__}>"
        yield Held(f"{held.path}[{shown_key[:_LONGEST_KEY]}]", item, held.place)


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    if issubclass(kind_of(value), dict):
        return list(value.items())
    items: Iterable[Any] = value
    return list(enumerate(items))


def _wrapped(value: Any) -> list[object]:
    """Return what a value of Python's or warmkit's calls or passes on."""
    kind = kind_of(value)
    if issubclass(kind, staticmethod | classmethod):
        return [value.__func__]
    if kind is property:
        return [part for part in (value.fget, value.fset) if part]
    if kind is functools.partial:
        return [value.func, value.args, value.keywords]
    if issubclass(kind, Resource):
        return [value.factory]
    # a handler's, functools.cache's, other people's decorators'
    return [value.__wrapped__] if "__wrapped__" in _dict_of(value) else []


def _dict_of(value: object) -> dict[str, object]:
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}
