"""The `context` that a handler is given: everything that AWS's own has.

Source: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
"""

import json
import os
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from warmkit.clock import wall
from warmkit.runtime.failure import RuntimeFailureError
from warmkit.runtime.protocol import Received

_FACTS = (
    "FUNCTION_NAME",
    "FUNCTION_VERSION",
    "FUNCTION_MEMORY_SIZE",
    "LOG_GROUP_NAME",
    "LOG_STREAM_NAME",
)
_W3C = ("traceparent", "tracestate", "baggage")


class CognitoIdentity:
    """Who invoked, where Amazon Cognito says so; else both are None."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.cognito_identity_id: str | None = said.get("cognitoIdentityId")
        self.cognito_identity_pool_id: str | None = said.get("cognitoIdentityPoolId")


class Client:
    """The application of a mobile client; what it does not say is None."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.installation_id: str | None = said.get("installation_id")
        self.app_title: str | None = said.get("app_title")
        self.app_version_name: str | None = said.get("app_version_name")
        self.app_version_code: str | None = said.get("app_version_code")
        self.app_package_name: str | None = said.get("app_package_name")


class ClientContext:
    """What the caller passed on beside the event."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        client = said.get("client")
        self.custom: dict[str, Any] | None = said.get("custom")
        self.env: dict[str, Any] | None = said.get("env")
        self.client = Client(cast("dict[str, Any]", client)) if isinstance(client, dict) else None


class Context:
    """The facts of one invocation. Members and types are those of AWS's Python runtime.

    Args:
        received: The invocation.

    Raises:
        RuntimeFailureError: The client context or the identity is no JSON object.
    """

    def __init__(self, received: Received) -> None:
        client = _read(received.client_context, "Client Context")
        identity = _read(received.cognito_identity, "Cognito Identity")
        self.aws_request_id = received.request_id
        self.invoked_function_arn = received.function_arn
        self.tenant_id = received.tenant_id or None
        (
            self.function_name,
            self.function_version,
            self.memory_limit_in_mb,
            self.log_group_name,
            self.log_stream_name,
        ) = _function()
        w3c = client.pop("w3c", None) if client is not None else None
        self._w3c: dict[str, Any] = w3c if isinstance(w3c, dict) else {}
        self.client_context = None if client is None else ClientContext(client)
        self.identity = CognitoIdentity(identity or {})
        self._deadline_ms = received.deadline_ms

    def get_remaining_time_in_millis(self) -> int:
        """Returns the milliseconds that are left, never less than 0."""
        return max(0, self._deadline_ms - int(wall() * 1000))

    def w3c(self) -> dict[str, str]:
        """Returns the W3C trace context that the caller passed on."""
        return {name: said for name in _W3C if isinstance(said := self._w3c.get(name), str)}

    def log(self, message: object) -> None:
        """Writes to the log as it is, without a new line."""
        sys.stdout.write(str(message))

    def __repr__(self) -> str:
        return (
            f"Context(aws_request_id={self.aws_request_id!r}, function_name={self.function_name!r})"
        )


@cache
def _function() -> tuple[str | None, ...]:
    """Which function this is: the same for all of its invocations."""
    return tuple(os.environ.get(f"AWS_LAMBDA_{name}") for name in _FACTS)


def _read(text: str, what: str) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        said: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(what, str(error)) from None
    if said is not None and not isinstance(said, dict):
        raise _unreadable(what, f"it is a {type(said).__name__}, not an object")
    return cast("dict[str, Any] | None", said)


def _unreadable(what: str, why: str) -> RuntimeFailureError:
    return RuntimeFailureError("LambdaContextUnmarshalError", f"Unable to parse {what} JSON: {why}")
