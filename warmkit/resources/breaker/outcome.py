"""What the end of a call says of the service behind it, and what of that may be told. Knows no states."""

import os
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from warmkit import DefinitionError, ResourceError, TimeLimitError, UsageError, WarmkitError
from warmkit.resources.errors import (
    CircuitOpenError,
    DsnError,
    IamTokenError,
    MissingPackageError,
)

Describe = Callable[[Exception], str]
"""What of an exception may stand in errors and logs."""

_NOTHING_WAS_ASKED = (
    CircuitOpenError,
    DefinitionError,
    DsnError,
    IamTokenError,
    MissingPackageError,
    UsageError,
)
_LONGEST = 200


class Failure(NamedTuple):
    """A failure, as it may be shown.

    Attributes:
        kind: The exception's type.
        text: What it says, as far as it can hold no secret; may be empty.
    """

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}" if self.text else self.kind


def says_nothing(error: BaseException) -> bool:
    """Whether a call that ended so says neither that the service works nor that it does not.

    It was cancelled, the interpreter exits, the caller's own time ran out, or the service was not asked at all.
    """
    if isinstance(error, BaseExceptionGroup):
        members: tuple[BaseException, ...] = cast("Any", error).exceptions
        return all(says_nothing(member) for member in members)
    root = _root(error)
    if isinstance(root, TimeLimitError):
        return root.option != "start_timeout"  # else it is the time left of the invocation
    return not isinstance(root, Exception) or isinstance(root, _NOTHING_WAS_ASKED)


def tell(error: Exception, describe: Describe | None) -> Failure:
    """Returns what may be told of a failure. Never raises.

    Args:
        error: The failure.
        describe: The user's word on its text; None: ours.
    """
    try:
        text = str(describe(error) if describe is not None else _harmless_text(error))
    except Exception:  # noqa: BLE001  what cannot be described has its type
        text = ""
    return Failure(type(error).__name__, text.partition("\n")[0][:_LONGEST])


def _harmless_text(error: BaseException) -> str:
    """Returns the words that cannot hold a secret: our own errors' and the kernel's.

    A third party's may: a URL with a token, a DSN with a password, a piece of the request.
    """
    if isinstance(error, ResourceError):
        cause = error.__cause__
        return str(tell(cause, None)) if isinstance(cause, Exception) else ""
    if isinstance(error, WarmkitError):
        return str(error)
    if isinstance(error, OSError) and error.errno and type(error).__module__ == "builtins":
        return os.strerror(error.errno)
    return ""


def _root(error: BaseException) -> BaseException:
    """Returns what is behind an error of a resource."""
    while isinstance(error, ResourceError) and error.__cause__ is not None:
        error = error.__cause__
    return error
