"""Finds the handler that `_HANDLER` names, as "module.function"."""

import importlib
import sys
from collections.abc import Callable
from typing import Any

from warmkit.runtime.failure import RuntimeFailureError


def load(name: str) -> Callable[..., Any]:
    """Imports the module and returns the handler.

    Args:
        name: "module.function"; slashes in the module part count as dots.

    Raises:
        RuntimeFailureError: There is no such handler.
        Exception: Whatever the module raises.
    """
    module_name, dot, function_name = name.rpartition(".")
    if not dot or not module_name or not function_name:
        raise RuntimeFailureError(
            "MalformedHandlerName",
            f"Bad handler {name!r}: it must be module.function, such as app.handler",
        )
    if module_name.partition(".")[0] in sys.builtin_module_names:
        raise RuntimeFailureError(
            "BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module"
        )
    handler = getattr(_imported(module_name), function_name, None)
    if handler is None:
        raise RuntimeFailureError(
            "HandlerNotFound", f"Handler {function_name!r} missing on module {module_name!r}"
        )
    if not callable(handler):
        kind = type(handler).__name__
        raise RuntimeFailureError(
            "HandlerNotFound",
            f"{function_name!r} in module {module_name!r} is a {kind}, not a function",
        )
    return handler  # type: ignore[no-any-return]  # what a module holds has no static type


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name.replace("/", "."))
    except SyntaxError as error:
        place = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        raise RuntimeFailureError(
            "UserCodeSyntaxError", f"Syntax error in module {name!r}: {error}", place
        ) from error
    except ImportError as error:
        raise RuntimeFailureError(
            "ImportModuleError", f"Unable to import module {name!r}: {error}"
        ) from error
