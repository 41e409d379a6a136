"""The function's URL: an HTTP request as an event, a result as an HTTP answer, payload version 2.0.

Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from warmkit.local.http import Request

INTEGRATION = "application/vnd.awslambda.http-integration-response"
"""The content type of a stream that begins with what the answer's head is to be."""

_SEPARATOR = bytes(8)
_TEXTUAL = ("text/", "application/json", "application/xml", "application/javascript")


class NoAnswerError(Exception):
    """What the function returned is no HTTP answer."""


class Answer(NamedTuple):
    """An HTTP answer, or its head.

    Attributes:
        status: Of the answer.
        headers: By name.
        cookies: One Set-Cookie each.
        body: What is known of it.
    """

    status: int
    headers: dict[str, str]
    cookies: list[str]
    body: bytes


def event_of(request: Request, body: bytes, request_id: str) -> dict[str, Any]:
    """Return the event that a request means to the function."""
    scope = request.scope
    path, query = scope["raw_path"].decode(), scope["query_string"].decode("latin-1")
    headers, cookies = _headers(scope["headers"])
    text, encoded = _text(body, headers.get("content-type", ""))
    now = time.time()
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "local",
            "domainName": headers.get("host", ""),
            "domainPrefix": "local",
            "http": {
                "method": request.method,
                "path": path,
                "protocol": f"HTTP/{scope['http_version']}",
                "sourceIp": (scope["client"] or ("",))[0],
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request_id,
            "routeKey": "$default",
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": round(now * 1000),
        },
        "isBase64Encoded": encoded,
    }
    if cookies:
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = _joined(parse_qsl(query, keep_blank_values=True))
    if body:
        event["body"] = text
    return event


def answer_of(result: bytes) -> Answer:
    """Return the answer that a result means.

    Raises:
        NoAnswerError: It means none.
    """
    try:
        said: Any = json.loads(result)
    except ValueError as error:
        message = f"the result is no JSON: {error}"
        raise NoAnswerError(message) from error
    if not isinstance(said, dict) or "statusCode" not in said:
        return Answer(200, {"content-type": "application/json"}, [], result)
    head = _head(cast("dict[str, Any]", said))
    body: Any = said.get("body", "")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    text = body if isinstance(body, str) else json.dumps(body)
    if not said.get("isBase64Encoded"):  # pyright: ignore[reportUnknownMemberType]
        return head._replace(body=text.encode())
    try:
        return head._replace(body=base64.b64decode(text, validate=True))
    except binascii.Error as error:
        message = f"the body is not what isBase64Encoded says: {error}"
        raise NoAnswerError(message) from error


def head_in(begin: bytes) -> tuple[Answer, bytes] | None:
    """Return the head at the beginning of a stream, and what follows it; None if more is needed.

    Raises:
        NoAnswerError: There is none.
    """
    prelude, separator, rest = begin.partition(_SEPARATOR)
    if not separator:
        return None
    try:
        return _head(json.loads(prelude)), rest
    except (ValueError, AttributeError) as error:
        message = f"the stream begins with no head: {error}"
        raise NoAnswerError(message) from error


def _head(said: dict[str, Any]) -> Answer:
    headers: dict[str, Any] = said.get("headers") or {}
    cookies: list[Any] = said.get("cookies") or []
    try:
        status = int(said.get("statusCode", 200))
        pairs = {str(name).lower(): str(value) for name, value in headers.items()}
    except (TypeError, ValueError, AttributeError) as error:
        message = f"statusCode or headers are not what they should be: {error}"
        raise NoAnswerError(message) from error
    if not 100 <= status <= 599:  # noqa: PLR2004 - what HTTP knows
        message = f"statusCode is {status}"
        raise NoAnswerError(message)
    pairs.pop("content-length", None)  # it is counted here
    pairs.setdefault("content-type", "application/json")
    return Answer(status, pairs, [str(cookie) for cookie in cookies], b"")


def _headers(given: list[tuple[bytes, bytes]]) -> tuple[dict[str, str], list[str]]:
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in given]
    cookies = [cookie for name, value in pairs if name == "cookie" for cookie in value.split("; ")]
    return _joined([pair for pair in pairs if pair[0] != "cookie"]), cookies


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _text(body: bytes, content_type: str) -> tuple[str, bool]:
    """Return a body as text, and whether that is its base64."""
    if content_type.startswith(_TEXTUAL):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), bool(body)
