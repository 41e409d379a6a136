"""What passes between Lambda and a function: an invocation, a reply, a failure, a refusal."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MOST_BYTES = 6 * 1024 * 1024 + 100
"""Of a response that is not streamed."""

_PLATFORM_TYPE = re.compile(r"(Runtime|Function)\.[A-Z][a-zA-Z]+")
_CHUNKS_AHEAD = 32


@dataclass(slots=True, kw_only=True)
class Invocation:
    """One invocation, as the runtime is told of it.

    Attributes:
        request_id: Which one.
        event: JSON, as it came.
        function_arn: As it was invoked.
        deadline_ms: When it must be over, in Unix milliseconds; set when an environment takes it.
        trace_id: The X-Ray header; "" if there is none.
        client_context: JSON; "" if there is none.
        cognito_identity: JSON; "" if there is none.
        tenant_id: "" if the function does not tell tenants apart.
        nonce: Told to the runtime, which echoes it: a late answer is not taken for a retry's.
    """

    request_id: str
    event: bytes
    function_arn: str
    deadline_ms: int = 0
    trace_id: str = ""
    client_context: str = ""
    cognito_identity: str = ""
    tenant_id: str = ""
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an invocation, or an init phase, has no result.

    Attributes:
        kind: The type that the platform keeps of it.
        payload: What the caller gets, JSON as a rule.
    """

    kind: str
    payload: bytes

    @classmethod
    def of_platform(cls, kind: str, message: str, request_id: str = "") -> Failure:
        """Make one that the platform itself reports."""
        text = f"RequestId: {request_id} Error: {message}" if request_id else message
        return cls(kind, json.dumps({"errorType": kind, "errorMessage": text}).encode())

    @property
    def told_kind(self) -> str:
        """The error type in the payload, or else the platform's."""
        try:
            said: Any = json.loads(self.payload)
        except ValueError:
            return self.kind
        if not isinstance(said, dict):
            return self.kind
        return str(cast("dict[str, Any]", said).get("errorType", self.kind))


def platform_type(said: str) -> str:
    """Return what the platform keeps of an error type that a runtime gave."""
    if _PLATFORM_TYPE.fullmatch(said):
        return said
    return "Function.Unknown" if said.startswith("Function.") else "Runtime.Unknown"


class Reply:
    """What a function answers: at once, or chunk by chunk.

    Attributes:
        content_type: Of the body.
        streams: Whether the function chose to stream it.
        failure: Why there is no result. Of a stream it is known only when the last chunk was read.
    """

    def __init__(self, content_type: str = "application/json", *, streams: bool = False) -> None:
        self.content_type = content_type
        self.streams = streams
        self.failure: Failure | None = None
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(_CHUNKS_AHEAD)
        self._unread = False

    @classmethod
    def whole(cls, body: bytes, content_type: str) -> Reply:
        """Make a reply that is there at once."""
        reply = cls(content_type)
        reply._chunks.put_nowait(body)
        reply._chunks.put_nowait(None)
        return reply

    @classmethod
    def failed(cls, failure: Failure) -> Reply:
        """Make one that says what went wrong."""
        reply = cls.whole(failure.payload, "application/json")
        reply.failure = failure
        return reply

    async def add(self, chunk: bytes) -> None:
        """Add a chunk; waits while nobody reads. What nobody wants any more is forgotten."""
        if not self._unread:
            await self._chunks.put(chunk)

    async def end(self, failure: Failure | None = None) -> None:
        """End the stream, whole or with what went wrong in its middle."""
        self.failure = failure
        if not self._unread:
            await self._chunks.put(None)

    def leave_unread(self) -> None:
        """Read no more: the function goes on all the same."""
        self._unread = True
        while not self._chunks.empty():
            self._chunks.get_nowait()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body."""
        while (chunk := await self._chunks.get()) is not None:
            yield chunk

    async def read(self) -> bytes:
        """Return the whole body."""
        return b"".join([chunk async for chunk in self.chunks()])


class RefusedError(Exception):
    """A request that the API does not take.

    Attributes:
        status: Of the HTTP answer.
        kind: The error type in its body.
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
