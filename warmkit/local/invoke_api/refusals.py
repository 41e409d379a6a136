"""The errors of Lambda's Invoke API, as AWS's clients expect them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warmkit.local.http import Request


class ServiceError(Exception):
    """A request that Lambda does not carry out.

    Attributes:
        status: Of the HTTP answer.
        kind: The name by which AWS's clients raise it.
        reason: More of it, where Lambda says more.
    """

    def __init__(self, status: int, kind: str, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.reason = reason


async def refuse(request: Request, error: ServiceError, request_id: str) -> None:
    """Answer with an error."""
    said = {"Type": "User", "message": str(error)}
    if error.reason:
        said["Reason"] = error.reason
    headers = {
        "content-type": "application/json",
        "x-amzn-errortype": error.kind,
        "x-amzn-requestid": request_id,
    }
    await request.answer(error.status, json.dumps(said).encode(), headers)


def not_found(name: str, arn: str) -> ServiceError:
    """Say that another function is served here."""
    message = f"Function not found: {name}. The function that is served here is {arn}"
    return ServiceError(404, "ResourceNotFoundException", message)


def throttled(message: str) -> ServiceError:
    """Say that there is nobody to serve it."""
    reason = "ConcurrentInvocationLimitExceeded"
    return ServiceError(429, "TooManyRequestsException", f"Rate Exceeded: {message}", reason)


def invalid_content(message: str) -> ServiceError:
    """Say that the request cannot be understood."""
    return ServiceError(400, "InvalidRequestContentException", message)
