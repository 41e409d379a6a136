"""What the execution environment says of itself in its variables.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from warmkit.errors import UsageError

if TYPE_CHECKING:
    from warmkit.recipe import Resource

_NOBODY_WAITS = ("provisioned-concurrency", "lambda-managed-instances", "snap-start")


def concurrency() -> int:
    """Returns how many invocations the environment may have to serve at once.

    That is `AWS_LAMBDA_MAX_CONCURRENCY` on Lambda Managed Instances, and 1 everywhere else. A pool needs no
    more connections than this.

    Raises:
        UsageError: The variable is there and is no positive number.
    """
    text = os.environ.get("AWS_LAMBDA_MAX_CONCURRENCY", "1")
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"AWS_LAMBDA_MAX_CONCURRENCY must be a whole number from 1, not {text!r}.")
    return int(text)


class Identity(NamedTuple):
    """Which function, and which environment of it.

    Attributes:
        function: The function's name, as the platform calls it; empty where there is no platform.
        environment_id: The environment's; eight hexadecimal digits.
    """

    function: str
    environment_id: str


def identity() -> Identity:
    """Returns who runs here: what a server that the environment talks to can be told, so that it knows whose a connection is.

    Raises:
        RuntimeError: No event loop is running.
    """
    from warmkit.environment import current_environment  # a plain function has none

    return Identity(os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""), current_environment().id)


def initialization() -> str:
    """Returns why the environment is initialized, as the platform calls it; empty where there is no platform."""
    return os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "")


def starts_in_init(resource: Resource[Any]) -> bool:
    """Whether a resource is to be started in the init phase.

    "auto" means yes where init is not on a caller's clock.
    """
    if resource.options.start == "auto":
        return initialization() in _NOBODY_WAITS
    return resource.options.start == "eager"
