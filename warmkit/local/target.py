"""Finds what a command is pointed at, "module.function", in the user's own code.

It imports that code and runs nothing else of it.
"""

from __future__ import annotations

import difflib
import os
import sys
import traceback
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import warmkit
from warmkit import WarmHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from types import ModuleType

_OURS = os.path.dirname(warmkit.__file__) + os.sep  # noqa: PTH120 - frames tell paths as text
_DEEPEST = 4
"""How many frames of the user's code an error shows."""


class TargetError(Exception):
    """There is no such handler. The text says it all."""


class Target(NamedTuple):
    """What a command is pointed at.

    Attributes:
        name: As it was given, with dots.
        module: Where it was found.
        function: Its name there.
        handler: The object itself.
    """

    name: str
    module: ModuleType
    function: str
    handler: Callable[..., object]


def split(name: str) -> tuple[str, str]:
    """Return the module's name and the function's. Slashes in the module's part count as dots.

    Raises:
        TargetError: It is not made of both.
    """
    module, _, function = name.rpartition(".")
    module = module.replace("/", ".")
    if not function.isidentifier() or not all(module.split(".")):
        message = f"{name!r} must be module.function, such as app.handler"
        raise TargetError(message)
    return module, function


def find(name: str) -> Target:
    """Import a handler's module, seen from the working directory, and return the handler.

    What the module prints goes to standard error.

    Raises:
        TargetError: There is no such module or handler, or the module cannot be imported.
    """
    module_name, function = split(name)
    module = _imported(module_name)
    try:
        handler = getattr(module, function)
    except AttributeError:
        message = f"{module_name} has no {function!r}.{_meant(function, vars(module))}"
        raise TargetError(message) from None
    if not callable(handler):
        message = f"{module_name}.{function} is a {type(handler).__name__}, not a function."
        raise TargetError(message)
    return Target(f"{module_name}.{function}", module, function, handler)


def warm_handler_in(handler: object) -> WarmHandler[object] | None:
    """Return warmkit's handler: the object itself, or the one below other libraries' decorators."""
    seen: set[int] = set()
    inner: Any = handler
    while inner is not None and id(inner) not in seen:
        if issubclass(type(inner), WarmHandler):
            return cast("WarmHandler[object]", inner)
        seen.add(id(inner))
        inner = getattr(inner, "__wrapped__", None)
    return None


def short_traceback(error: BaseException) -> str:
    """Return the last frames of the user's code and the error, without what led to it."""
    text = "".join([*_frames(error, _DEEPEST), *traceback.format_exception_only(error)])
    return text.rstrip("\n")


def shown(file: str) -> str:
    """Return a path as a person reads it: relative where it is below the working directory."""
    if not file:
        return ""
    relative = os.path.relpath(file)
    return file if relative.startswith(os.pardir) else relative


def _imported(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        with _quiet():
            return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise TargetError(_no_module(name)) from None
        raise TargetError(_broken(name, error)) from error
    except SystemExit as error:
        message = f"{name} exits with status {error.code!r} while it is imported.\n{''.join(_frames(error, 1))}"
        raise TargetError(message.rstrip()) from error
    except Exception as error:
        raise TargetError(_broken(name, error)) from error


@contextmanager
def _quiet() -> Generator[None]:
    """No resource starts in the import as in the init phase, and only we write the output."""
    api = os.environ.pop("AWS_LAMBDA_RUNTIME_API", None)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if api is not None:
            os.environ["AWS_LAMBDA_RUNTIME_API"] = api


def _no_module(name: str) -> str:
    here = Path.cwd()
    near = [path.stem for path in here.glob("*.py")] + [
        path.parent.name for path in here.glob("*/__init__.py")
    ]
    return f"There is no module {name!r} in {here}.{_meant(name, near)}"


def _broken(name: str, error: BaseException) -> str:
    return f"{name} cannot be imported.\n{short_traceback(error)}"


def _frames(error: BaseException, most: int) -> list[str]:
    """Return the last frames of the user's code, each as two lines."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _tells(frame)]
    return [
        f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n    {frame.line}\n'
        for frame in frames[-most:]
    ]


def _meant(name: str, candidates: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(candidates), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _tells(frame: traceback.FrameSummary) -> bool:
    return not frame.filename.startswith(("<frozen importlib", _OURS)) and (
        "importlib" not in Path(frame.filename).parts
    )
