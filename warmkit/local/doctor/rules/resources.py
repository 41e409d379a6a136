"""WK6xx: resources that cannot be closed, are larger than their environment, or lack their library."""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from warmkit.local.doctor.finding import Found, Place, Severity
from warmkit.local.doctor.rule import rule
from warmkit.local.target import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warmkit import Resource
    from warmkit.local.doctor.source import Call
    from warmkit.local.doctor.subject import Subject

_ENDS = ("aclose", "close", "stop", "shutdown", "disconnect", "terminate")
_EXTRAS = {
    "postgres": "asyncpg",
    "aws": "aiobotocore",
    "breaker": "pybreaker",
    "otel": "opentelemetry",
}


class Sizes(NamedTuple):
    """How a pool is told its size.

    Attributes:
        arguments: The keywords that count connections.
        usual: How many it opens if it is not told; 0: as many as are needed.
    """

    arguments: tuple[str, ...]
    usual: int


_POOLS = {
    "warmkit.resources.postgres_pool": Sizes(("max_size",), 0),
    "asyncpg.create_pool": Sizes(("min_size", "max_size"), 10),
    "psycopg_pool.ConnectionPool": Sizes(("min_size", "max_size"), 4),
    "psycopg_pool.AsyncConnectionPool": Sizes(("min_size", "max_size"), 4),
    "aiomysql.create_pool": Sizes(("minsize", "maxsize"), 0),
    "sqlalchemy.create_engine": Sizes(("pool_size",), 0),
    "sqlalchemy.ext.asyncio.create_async_engine": Sizes(("pool_size",), 0),
}


@rule(
    "WK601",
    Severity.WARNING,
    "a resource that cannot be closed",
    happens="its factory returns the value, so warmkit knows no way to close it: at the end the server is not "
    "told, and after a rebuild the old one stays open",
    write="a generator: `value = ...; yield value; value.close()`, or return an (async) context manager",
)
def unclosable(subject: Subject) -> Iterator[Found]:
    """See by annotation, and by the values that calls started."""
    started = {born.resource: born for born in subject.calls.born}
    for resource in subject.resources:
        born = started.get(resource)
        if _is_ours(resource) or (born and born.closes):
            continue
        kind = type(born.value) if born else _annotated(resource)
        if kind is not None and (end := _end_of(kind, resource, entered=born is None)):
            what = f"resource {resource.name!r} is a {kind.__name__}, which has {end}(), and nobody calls that"
            yield Found(_place(resource.factory), what)


@rule(
    "WK602",
    Severity.WARNING,
    "a pool larger than its environment",
    happens="Lambda adds environments, not connections: with 100 environments the server has 100 times the pool, "
    "and an environment uses no more of them than it serves calls at once",
    write="postgres_pool() from warmkit.resources, whose size is right by itself; or max_size=warmkit.concurrency()",
)
def too_large(subject: Subject) -> Iterator[Found]:
    """See sizes in the text of the calls that make pools."""
    for source, call in subject.text_calls:
        size = _size(call)
        if size > subject.concurrency:
            calls = "call" if subject.concurrency == 1 else "calls"
            what = (
                f"{call.name} makes {size} connections for an environment that serves "
                f"{subject.concurrency} {calls} at once"
            )
            yield Found(source.place(call.node.lineno), what)


@rule(
    "WK603",
    Severity.ERROR,
    "an extra is missing",
    happens="the resource's start fails: MissingPackageError",
    write="",
)
def missing(subject: Subject) -> Iterator[Found]:
    """See ready-made resources whose library is not installed here."""
    folders = {_folder(resource) for resource in subject.resources}
    for folder in sorted(folders & _EXTRAS.keys()):
        package = _EXTRAS[folder]
        if not _installed(package):
            resource = next(item for item in subject.resources if _folder(item) == folder)
            what = f"resource {resource.name!r} needs {package}, which is not installed"
            write = f"pip install 'warmkit[{folder}]', here and in the package"
            yield Found(_named_at(subject, resource), what, write=write)


def _annotated(resource: Resource[Any]) -> type | None:
    factory: Callable[..., object] = resource.factory
    if isinstance(factory, type):
        return factory
    plain = inspect.unwrap(factory)
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        return None
    if plain is not factory:  # asynccontextmanager, and the like
        return None
    with suppress(Exception):  # names for the type checker only
        hinted = typing.get_type_hints(plain).get("return")
        origin = typing.get_origin(hinted) or hinted
        return origin if isinstance(origin, type) else None
    return None


def _end_of(kind: type, resource: Resource[Any], *, entered: bool) -> str:
    """Return the method that would end a value; empty: none, or it is called.

    Args:
        kind: The value's class.
        resource: Its recipe.
        entered: A context manager of that class would be entered, and so closed.
    """
    if kind.__module__ in ("typing", "collections.abc", "contextlib", "types"):
        return ""  # a generator's, or a context manager's
    managed = any(hasattr(kind, name) for name in ("__aexit__", "__exit__"))
    if entered and managed and resource.options.enter:
        return ""
    return next((name for name in _ENDS if callable(getattr(kind, name, None))), "")


def _size(call: Call) -> int:
    sizes = _POOLS.get(call.name)
    if sizes is None:
        return 0
    given = {item.arg: item.value for item in call.node.keywords if item.arg}
    if None in [item.arg for item in call.node.keywords]:
        return 0  # **options may say anything
    told = [given[name] for name in sizes.arguments if name in given]
    numbers = [
        item.value for item in told if isinstance(item, ast.Constant) and type(item.value) is int
    ]
    if told:
        return max(numbers, default=0)
    return sizes.usual


def _is_ours(resource: Resource[Any]) -> bool:
    return bool(_folder(resource))


def _folder(resource: Resource[Any]) -> str:
    factory: Any = resource.factory
    module = str(getattr(factory, "__module__", ""))
    return module.split(".")[2] if module.startswith("warmkit.resources.") else ""


def _named_at(subject: Subject, resource: Resource[Any]) -> Place:
    """Return where a global names a resource, or else the handler that takes it."""
    for held in subject.held:
        if held.value is resource:
            return held.place
    return _place(subject.target.handler)


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ValueError, ImportError):
        return False


def _place(factory: Any) -> Place:
    code = getattr(inspect.unwrap(factory), "__code__", None)
    return Place() if code is None else Place(shown(code.co_filename), code.co_firstlineno)
