"""Lambda's Invoke API and the function's URL, over HTTP.

Sources: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html and API_InvokeWithResponseStream.html
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
import time
from typing import TYPE_CHECKING

from warmkit.local.fleet import ThrottledError
from warmkit.local.invoke_api import eventstream, refusals, url
from warmkit.local.invoke_api.later import Later
from warmkit.local.invoke_api.refusals import ServiceError
from warmkit.local.sandbox.function import VERSION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from warmkit.local.http import Request
    from warmkit.local.local_lambda import LocalLambda
    from warmkit.local.runtime_api.values import Invocation, Reply
    from warmkit.local.sandbox.course import Course

MOST_BYTES = 6 * 1024 * 1024
MOST_ASYNCHRONOUS_BYTES = 1024 * 1024
_MOST_CONTEXT_BYTES = 3583

_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations/?")
_STREAM = re.compile(r"/2021-11-15/functions/([^/]+)/response-streaming-invocations/?")
_API = re.compile(r"/20\d\d-\d\d-\d\d/")
_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}


class InvokeApi:
    """Serves one function to whoever asks.

    Args:
        function: The function.
        retry_delays: Seconds before each further attempt of an asynchronous invocation.
        note: Called with what a caller cannot see.
        hosts: The names by which it may be called; others are refused, so that no web page can reach it
            through a name of its own.
    """

    def __init__(
        self,
        function: LocalLambda,
        *,
        retry_delays: Sequence[float],
        note: Callable[[str], None],
        hosts: Sequence[str] = (),
    ) -> None:
        self._function = function
        self._later = Later(function.fleet, retry_delays, note)
        self._note = note
        self._hosts = {*_LOOPBACK, *hosts}

    async def __call__(self, request: Request) -> None:
        """Answer one request."""
        invocation = self._function.invocation(b"")
        try:
            await self._route(request, invocation)
        except ServiceError as error:
            await refusals.refuse(request, error, invocation.request_id)
        except ThrottledError as error:
            throttled = refusals.throttled(str(error))
            await refusals.refuse(request, throttled, invocation.request_id)

    async def aclose(self) -> None:
        """Give up what is done in the background."""
        await self._later.aclose()

    async def _route(self, request: Request, invocation: Invocation) -> None:
        self._check_host(request)
        for pattern, serve in ((_INVOKE, self._invoke), (_STREAM, self._stream)):
            called = pattern.fullmatch(request.path)
            if called and request.method == "POST":
                self._check_name(called[1])
                await serve(request, invocation)
                return
        if _API.match(request.path):
            message = f"{request.method} {request.path} is not served here: only Invoke and InvokeWithResponseStream"
            raise ServiceError(404, "UnknownOperationException", message)
        await self._serve_url(request, invocation)

    def _check_host(self, request: Request) -> None:
        host = request.headers.get("host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name.lower() not in self._hosts and "*" not in self._hosts:
            message = f"{host!r} is no name of this machine. Start with --host to allow others."
            raise ServiceError(403, "AccessDeniedException", message)

    def _check_name(self, said: str) -> None:
        """The name may be a name, an ARN, or a part of it, each with a version or alias."""
        name = said.rpartition("function:")[2].partition(":")[0]
        if name != self._function.function.name:
            raise refusals.not_found(said, self._function.function.arn)

    # -- Invoke

    async def _invoke(self, request: Request, invocation: Invocation) -> None:
        kind = request.headers.get("x-amz-invocation-type", "RequestResponse")
        if kind not in {"RequestResponse", "Event", "DryRun"}:
            message = f"Invocation type {kind!r} is none of RequestResponse, Event and DryRun"
            raise ServiceError(400, "InvalidParameterValueException", message)
        most = MOST_ASYNCHRONOUS_BYTES if kind == "Event" else MOST_BYTES
        await _fill(invocation, request, most)
        if kind == "RequestResponse":
            await self._answer(request, invocation)
            return
        if kind == "Event":
            self._later.accept(invocation)
        status = 202 if kind == "Event" else 204
        await request.answer(status, b"", _about(invocation))

    async def _answer(self, request: Request, invocation: Invocation) -> None:
        course = await self._function.fleet.invoke(invocation)
        reply = await course.replied
        body = await reply.read()
        headers = _about(invocation) | {"content-type": reply.content_type or "application/json"}
        if reply.failure is not None:
            headers["x-amz-function-error"] = "Unhandled"
        if _wants_log(request):
            headers["x-amz-log-result"] = await _log_of(course)
        await request.answer(200, body, headers)

    # -- InvokeWithResponseStream

    async def _stream(self, request: Request, invocation: Invocation) -> None:
        await _fill(invocation, request, MOST_BYTES)
        course = await self._function.fleet.invoke(invocation)
        reply = await course.replied
        headers = _about(invocation) | {"content-type": eventstream.CONTENT_TYPE}
        await request.begin(200, headers)
        async for chunk in reply.chunks():
            await request.send(eventstream.chunk(chunk))
        log = await _log_of(course) if _wants_log(request) else ""
        code, details = "", ""
        if reply.failure is not None:
            code, details = "Unhandled", reply.failure.payload.decode(errors="replace")
        await request.send(eventstream.complete(code, details, log), more=False)

    # -- the function's URL

    async def _serve_url(self, request: Request, invocation: Invocation) -> None:
        body = await request.body(MOST_BYTES)
        if body is None:
            raise _too_large(MOST_BYTES)
        event = url.event_of(request, body, invocation.request_id)
        invocation.event = json.dumps(event).encode()
        invocation.trace_id = _trace_id(request)
        course = await self._function.fleet.invoke(invocation)
        reply = await course.replied
        try:
            await self._pass_on(request, reply)
        except url.NoAnswerError as error:
            reply.leave_unread()
            self._note(f"the URL answered 502, because {error}")
            await request.answer(502, b"Internal Server Error", {"content-type": "text/plain"})

    async def _pass_on(self, request: Request, reply: Reply) -> None:
        if reply.streams:
            await _pass_stream_on(request, reply)
            return
        body = await reply.read()
        if reply.failure is not None:
            message = f"the function failed: {reply.failure.told_kind}"
            raise url.NoAnswerError(message)
        answer = url.answer_of(body)
        await request.answer(answer.status, answer.body, answer.headers, answer.cookies)


async def _pass_stream_on(request: Request, reply: Reply) -> None:
    chunks = reply.chunks()
    content_type = reply.content_type or "application/octet-stream"
    head, begin = url.Answer(200, {"content-type": content_type}, [], b""), b""
    if reply.content_type == url.INTEGRATION:
        head, begin = await _head_of(chunks)
    await request.begin(head.status, head.headers, head.cookies)
    if begin:
        await request.send(begin)
    async for chunk in chunks:
        await request.send(chunk)
    await request.send(b"", more=False)


async def _head_of(chunks: AsyncIterator[bytes]) -> tuple[url.Answer, bytes]:
    begin = b""
    async for chunk in chunks:
        begin += chunk
        found = url.head_in(begin)
        if found is not None:
            return found
    message = "the stream ended before its head did"
    raise url.NoAnswerError(message)


async def _fill(invocation: Invocation, request: Request, most: int) -> None:
    """Take an invocation out of a request to the Invoke API.

    Raises:
        ServiceError: It cannot be understood.
    """
    body = await request.body(most)
    if body is None:
        raise _too_large(most)
    invocation.event = body or b"{}"
    try:
        json.loads(invocation.event)
    except ValueError as error:
        message = f"Could not parse request body into json: {error}"
        raise refusals.invalid_content(message) from error
    invocation.client_context = _client_context(request)
    invocation.tenant_id = request.headers.get("x-amz-tenant-id", "")
    invocation.trace_id = _trace_id(request)


def _client_context(request: Request) -> str:
    encoded = request.headers.get("x-amz-client-context", "")
    if not encoded:
        return ""
    if len(encoded) > _MOST_CONTEXT_BYTES:
        message = f"Client context must be at most {_MOST_CONTEXT_BYTES} bytes"
        raise refusals.invalid_content(message)
    try:
        # A header is one line; JSON means the same without its line breaks.
        return json.dumps(json.loads(base64.b64decode(encoded, validate=True)))
    except ValueError as error:
        message = f"Client context must be a valid Base64-encoded JSON object: {error}"
        raise refusals.invalid_content(message) from error


def _too_large(most: int) -> ServiceError:
    message = f"Request must be smaller than {most} bytes for the InvokeFunction operation"
    return ServiceError(413, "RequestTooLargeException", message)


def _trace_id(request: Request) -> str:
    given = request.headers.get("x-amzn-trace-id", "")
    root = f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
    return given or f"Root={root};Parent={secrets.token_hex(8)};Sampled=0"


def _about(invocation: Invocation) -> dict[str, str]:
    return {
        "x-amzn-requestid": invocation.request_id,
        "x-amz-executed-version": VERSION,
        "x-amzn-trace-id": invocation.trace_id,
    }


def _wants_log(request: Request) -> bool:
    return request.headers.get("x-amz-log-type", "") == "Tail"


async def _log_of(course: Course) -> str:
    await asyncio.wait([course.reported])
    return base64.b64encode(course.tail()).decode()
