"""Lambda's Runtime API and Extensions API as values: what an answer says, what a request is.

It opens nothing and awaits nothing.
Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from typing import NamedTuple

from warmkit.runtime.failure import Failure
from warmkit.runtime.http import Answer, Request

_RUNTIME = "/2018-06-01/runtime"

TRAILERS = "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
"""What may stand after a streamed response: that it failed in the middle."""

NEXT = Request("GET", f"{_RUNTIME}/invocation/next")
RESTORE = Request("GET", f"{_RUNTIME}/restore/next")
"""With SnapStart: the snapshot is taken while this waits, and every copy gets an answer."""

ACCEPTED = 202
OVER = frozenset({400, 403, 410})
"""Answers that mean: this invocation is not open (any more). The platform has moved on, and so do we."""


_ECHOED = "Lambda-Runtime-Invocation-Id"
_IN_AN_ID = b"-._~:"
"""What may be in a request id, beside letters and digits: it stands in a path as it is."""
_LONGEST_ID, _LONGEST_DEADLINE = 256, 18


class ProtocolError(Exception):
    """The platform said something that has no meaning."""


class Received(NamedTuple):
    """An invocation as it arrived.

    Attributes:
        request_id: Which one.
        deadline_ms: When it must be over, in Unix milliseconds.
        body: The event.
        content_type: Of the event; "" if nothing was said.
        function_arn: As it was invoked, alias or version included.
        trace_id: The X-Ray header; "" if there is none.
        tenant_id: "" if the function does not tell tenants apart.
        client_context: JSON; "" if there is none.
        cognito_identity: JSON; "" if there is none.
        invocation_id: To be echoed, so that a late answer is not taken for that of a retry; "" if there is none.
    """

    request_id: str
    deadline_ms: int
    body: bytes = b""
    content_type: str = ""
    function_arn: str = ""
    trace_id: str = ""
    tenant_id: str = ""
    client_context: str = ""
    cognito_identity: str = ""
    invocation_id: str = ""


def read_invocation(answer: Answer) -> Received:
    """Returns the invocation that `NEXT` brought.

    Raises:
        ProtocolError: It has no request id or no deadline.
    """
    said = answer.headers().get
    the_id = said(b"lambda-runtime-aws-request-id", b"").strip()
    deadline = said(b"lambda-runtime-deadline-ms", b"").strip()
    request_id = _text(the_id)
    if not (the_id.translate(None, _IN_AN_ID).isalnum() and len(the_id) <= _LONGEST_ID):
        raise ProtocolError(f"an invocation came with the request id {request_id[:50]!r}")
    if not (deadline.isdigit() and len(deadline) <= _LONGEST_DEADLINE):
        raise ProtocolError(
            f"invocation {request_id} came with the deadline {_text(deadline[:50])!r}"
        )
    return Received(
        request_id,
        int(deadline),
        answer.body,
        _text(said(b"content-type")),
        _text(said(b"lambda-runtime-invoked-function-arn")),
        _text(said(b"lambda-runtime-trace-id")),
        _text(said(b"lambda-runtime-aws-tenant-id")),
        _text(said(b"lambda-runtime-client-context")),
        _text(said(b"lambda-runtime-cognito-identity")),
        said(b"lambda-runtime-invocation-id", b"").decode("latin-1"),  # goes back as it came
    )


def _text(value: bytes | None) -> str:
    return value.decode("utf-8", "replace") if value else ""


def response(received: Received, body: bytes, content_type: str) -> Request:
    """Returns the answer to an invocation."""
    return _about(received, "response", {"Content-Type": content_type}, body)


def streamed_response(received: Received, content_type: str) -> Request:
    """Returns the head of an answer that is given in chunks."""
    headers = {
        "Content-Type": content_type,
        "Lambda-Runtime-Function-Response-Mode": "streaming",
        "Trailer": TRAILERS,
    }
    return _about(received, "response", headers, None)


def error(received: Received, failure: Failure) -> Request:
    """Returns the report that an invocation failed."""
    headers = _error_headers(failure)
    cause = failure.xray_cause()
    if cause:
        headers["Lambda-Runtime-Function-XRay-Error-Cause"] = cause
    return _about(received, "error", headers, failure.body(received.request_id))


def _about(received: Received, what: str, headers: dict[str, str], body: bytes | None) -> Request:
    if received.invocation_id:
        headers[_ECHOED] = received.invocation_id
    return Request("POST", f"{_RUNTIME}/invocation/{received.request_id}/{what}", headers, body)


def init_error(failure: Failure) -> Request:
    """Returns the report that the function cannot be served at all."""
    return Request("POST", f"{_RUNTIME}/init/error", _error_headers(failure), failure.body())


def restore_error(failure: Failure) -> Request:
    """Returns the report that the function cannot be served after a restore."""
    return Request("POST", f"{_RUNTIME}/restore/error", _error_headers(failure), failure.body())


def _error_headers(failure: Failure) -> dict[str, str]:
    return {
        "Content-Type": "application/vnd.aws.lambda.error+json",
        "Lambda-Runtime-Function-Error-Type": failure.kind,
    }
