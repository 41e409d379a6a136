"""The Runtime API and the Extensions API over HTTP: paths, headers, statuses.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from typing import TYPE_CHECKING

from warmkit.local.http import DisconnectedError, Request
from warmkit.local.runtime_api.values import (
    MOST_BYTES,
    Failure,
    Invocation,
    RefusedError,
    Reply,
    platform_type,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any, TypeVar

    from warmkit.local.runtime_api.extensions import Extensions
    from warmkit.local.runtime_api.runtime import Exchange, Runtime

    T = TypeVar("T")

_RUNTIME = "/2018-06-01/runtime"
_EXTENSION = "/2020-01-01/extension"
_METADATA = "/2026-01-15/metadata/execution-environment"
_JSON = {"content-type": "application/json"}
_ANY_SIZE = 1 << 62


class RuntimeApi:
    """What the processes of one environment talk to.

    Args:
        snap_start: Whether the runtime may wait for a snapshot.
        metadata_token: What a request for the environment's metadata must show.
    """

    def __init__(self, *, snap_start: bool = False, metadata_token: str = "") -> None:
        self.runtime: Runtime
        self.extensions: Extensions
        self._token = metadata_token
        self._routes: dict[tuple[str, str], Callable[[Request], Awaitable[None]]] = {
            ("GET", f"{_RUNTIME}/invocation/next"): self._next,
            ("POST", f"{_RUNTIME}/init/error"): self._init_error,
            ("POST", f"{_EXTENSION}/register"): self._register,
            ("GET", f"{_EXTENSION}/event/next"): self._event,
            ("POST", f"{_EXTENSION}/init/error"): self._extension_init_error,
            ("POST", f"{_EXTENSION}/exit/error"): self._extension_exit_error,
            ("GET", "/2018-06-01/ping"): self._ping,
            ("PUT", "/2020-08-15/logs"): self._no_logs,
            ("PUT", "/2022-07-01/telemetry"): self._no_telemetry,
            ("GET", _METADATA): self._metadata,
        }
        if snap_start:
            self._routes["GET", f"{_RUNTIME}/restore/next"] = self._restore
            self._routes["POST", f"{_RUNTIME}/restore/error"] = self._init_error
        self._paths = {path for _, path in self._routes}

    async def __call__(self, request: Request) -> None:
        """Answer one request."""
        try:
            await self._route(request)
        except RefusedError as error:
            said = {"errorMessage": str(error), "errorType": error.kind}
            await request.answer(error.status, json.dumps(said).encode(), _JSON)

    async def _route(self, request: Request) -> None:
        route = self._routes.get((request.method, request.path))
        if route is not None:
            await route(request)
            return
        head, _, end = request.path.rpartition("/")
        before, _, request_id = head.rpartition("/")
        answers = before == f"{_RUNTIME}/invocation" and end in {"response", "error"}
        if answers and request.method == "POST":
            await (self._response if end == "response" else self._error)(request, request_id)
        elif answers or request.path in self._paths:
            await request.answer(405)
        else:
            await request.answer(404, b"404 page not found\n", {"content-type": "text/plain"})

    # -- the runtime

    async def _next(self, request: Request) -> None:
        await request.body(0)
        invocation = await _unless_left(request, self.runtime.next())
        await request.answer(200, invocation.event, _headers_of(invocation))

    async def _restore(self, request: Request) -> None:
        await request.body(0)
        await _unless_left(request, self.runtime.restore())
        await request.answer(200)

    async def _init_error(self, request: Request) -> None:
        body = await request.body(MOST_BYTES) or b""
        kind = request.headers.get("lambda-runtime-function-error-type", "")
        self.runtime.fail_init(Failure(platform_type(kind), body))
        await _accept(request)

    async def _response(self, request: Request, request_id: str) -> None:
        exchange = self._open(request, request_id, failed=False)
        mode = request.headers.get("lambda-runtime-function-response-mode", "")
        if mode not in {"", "streaming"}:
            self._refuse_mode(exchange)
        if mode:
            await self._take_stream(request, exchange)
        else:
            await self._take_whole(request, exchange)
        await _accept(request)

    def _open(self, request: Request, request_id: str, *, failed: bool) -> Exchange:
        nonce = request.headers.get("lambda-runtime-invocation-id", "")
        exchange = self.runtime.check_id(request_id, nonce)
        self.runtime.begin_answer(exchange, failed=failed)
        return exchange

    def _refuse_mode(self, exchange: Exchange) -> None:
        kind, message = "Runtime.InvalidResponseModeHeader", "Invalid response mode header"
        request_id = exchange.invocation.request_id
        exchange.reply(Reply.failed(Failure.of_platform(kind, message, request_id)))
        self.runtime.end_answer(exchange)
        message = "Invalid function response mode"
        raise RefusedError(400, "InvalidFunctionResponseMode", message)

    async def _take_whole(self, request: Request, exchange: Exchange) -> None:
        try:
            body = await request.body(MOST_BYTES)
        except DisconnectedError:
            self._fail(exchange, "Runtime.TruncatedResponse", "The response ended too early")
            raise
        if body is None:
            message = (
                f"Response payload size exceeded maximum allowed payload size ({MOST_BYTES} bytes)."
            )
            self._fail(exchange, "Function.ResponseSizeTooLarge", message, named=False)
            raise RefusedError(413, "RequestEntityTooLarge", message)
        exchange.reply(Reply.whole(body, request.headers.get("content-type", "")))
        self.runtime.end_answer(exchange)

    def _fail(self, exchange: Exchange, kind: str, message: str, *, named: bool = True) -> None:
        request_id = exchange.invocation.request_id if named else ""
        exchange.reply(Reply.failed(Failure.of_platform(kind, message, request_id)))
        self.runtime.end_answer(exchange)

    async def _take_stream(self, request: Request, exchange: Exchange) -> None:
        reply = Reply(request.headers.get("content-type", ""), streams=True)
        exchange.reply(reply)
        try:
            async for chunk in request.chunks():
                await reply.add(chunk)
        except DisconnectedError:
            message = "The stream ended too early"
            await reply.end(Failure.of_platform("Runtime.TruncatedResponse", message))
            self.runtime.end_answer(exchange)
            raise
        await reply.end(_failure_in(request))
        self.runtime.end_answer(exchange)

    async def _error(self, request: Request, request_id: str) -> None:
        exchange = self._open(request, request_id, failed=True)
        body = await request.body(MOST_BYTES) or b""
        kind = platform_type(request.headers.get("lambda-runtime-function-error-type", ""))
        exchange.reply(Reply.failed(Failure(kind, body)))
        self.runtime.end_answer(exchange)
        await _accept(request)

    # -- extensions

    async def _register(self, request: Request) -> None:
        body = await request.body(MOST_BYTES) or b""
        name = request.headers.get("lambda-extension-name", "")
        features = request.headers.get("lambda-extension-accept-feature", "")
        identifier, about = self.extensions.register(name, body, features)
        headers = _JSON | {"lambda-extension-identifier": identifier}
        await request.answer(200, json.dumps(about).encode(), headers)

    async def _event(self, request: Request) -> None:
        await request.body(0)
        identifier = request.headers.get("lambda-extension-identifier", "")
        number, event = await _unless_left(request, self.extensions.next(identifier))
        headers = _JSON | ({"lambda-extension-event-identifier": number} if number else {})
        await request.answer(200, json.dumps(event).encode(), headers)

    async def _extension_init_error(self, request: Request) -> None:
        await self._extension_error(request, in_init=True)

    async def _extension_exit_error(self, request: Request) -> None:
        await self._extension_error(request, in_init=False)

    async def _extension_error(self, request: Request, *, in_init: bool) -> None:
        await request.body(MOST_BYTES)
        identifier = request.headers.get("lambda-extension-identifier", "")
        kind = request.headers.get("lambda-extension-function-error-type", "")
        self.extensions.fail(identifier, kind, in_init=in_init)
        await _accept(request)

    # -- what else is there

    async def _ping(self, request: Request) -> None:
        await request.answer(200, b"pong", {"content-type": "text/plain"})

    async def _no_logs(self, request: Request) -> None:
        await _not_supported(request, "Logs")

    async def _no_telemetry(self, request: Request) -> None:
        await _not_supported(request, "Telemetry")

    async def _metadata(self, request: Request) -> None:
        if request.headers.get("authorization", "") != f"Bearer {self._token}":
            await request.answer(401, b"Unauthorized\n", {"content-type": "text/plain"})
            return
        caching = {"cache-control": "private, max-age=43200, immutable"}
        await request.answer(200, b'{"AvailabilityZoneID":"use1-az1"}', _JSON | caching)


def _headers_of(invocation: Invocation) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "lambda-runtime-aws-request-id": invocation.request_id,
        "lambda-runtime-deadline-ms": str(invocation.deadline_ms),
        "lambda-runtime-invoked-function-arn": invocation.function_arn,
        "lambda-runtime-invocation-id": invocation.nonce,
        "lambda-runtime-trace-id": invocation.trace_id,
        "lambda-runtime-client-context": invocation.client_context,
        "lambda-runtime-cognito-identity": invocation.cognito_identity,
        "lambda-runtime-aws-tenant-id": invocation.tenant_id,
    }
    return {name: value for name, value in headers.items() if value}


def _failure_in(request: Request) -> Failure | None:
    """What the trailers after a stream say."""
    kind = request.headers.get("lambda-runtime-function-error-type", "")
    if not kind:
        return None
    encoded = request.headers.get("lambda-runtime-function-error-body", "")
    try:
        return Failure(platform_type(kind), base64.b64decode(encoded, validate=True))
    except binascii.Error:
        return Failure(platform_type(kind), b"")


async def _unless_left(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await something for a peer, unless it leaves meanwhile."""
    left = False
    waiting = asyncio.current_task()

    async def watch() -> None:
        nonlocal left
        await request.disconnected()
        left = True
        assert waiting is not None
        waiting.cancel()

    watching = asyncio.create_task(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if left:
            raise DisconnectedError from None
        raise
    finally:
        watching.cancel()


async def _accept(request: Request) -> None:
    await request.answer(202, b'{"status":"OK"}\n', _JSON)


async def _not_supported(request: Request, name: str) -> None:
    await request.body(MOST_BYTES)
    said = {
        "errorMessage": f"{name} API is not supported",
        "errorType": f"{name}.NotSupported",
    }
    await request.answer(202, json.dumps(said).encode(), _JSON)
