"""The Runtime API as one poller sees it: take an invocation, answer it exactly once.

What the network does to an exchange is dealt with here: what is lost is sent again where that is safe.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from warmkit.runtime import protocol
from warmkit.runtime.failure import Failure
from warmkit.runtime.http import Answer, Request
from warmkit.runtime.lines import Line, LoopLine, Upload
from warmkit.runtime.marshal import BINARY
from warmkit.runtime.protocol import Received

_log = logging.getLogger("warmkit")

PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between attempts to reach a Runtime API that is there for as long as we are."""

POST_TIMEOUT = 30.0
"""Seconds for an answer to be taken. `next` has no limit: the environment may be frozen meanwhile."""


class ApiGoneError(Exception):
    """The Runtime API cannot be used any more: the process has nothing left to do."""


class RuntimeApi:
    """One poller's way to the platform, over a connection of its own.

    Args:
        line: The connection.
    """

    def __init__(self, line: Line) -> None:
        self._line = line

    async def next(self) -> Received:
        """Waits for an invocation, however long.

        Raises:
            ApiGoneError: The platform does not answer, or not in a way that has a meaning.
        """
        problem: Exception | None = None
        for pause in (*PAUSES, None):
            try:
                answer = await self._line.exchange(protocol.NEXT)
                if answer.status == 200:  # noqa: PLR2004  OK
                    return protocol.read_invocation(answer)
                problem = protocol.ProtocolError(_said(answer))
            except (OSError, protocol.ProtocolError) as error:
                problem = error
            self._line.close()  # what else comes on it would be taken for an answer
            if pause is not None:
                _log.warning("no invocation could be taken, asking again: %s", problem)
                await self._line.pause(pause)
        raise ApiGoneError(f"the Runtime API gives no invocations: {problem}") from problem

    def respond(
        self, received: Received, body: bytes, content_type: str
    ) -> Coroutine[Any, Any, None]:
        """Answers an invocation: sends it as the line's `exchange` does, and returns what awaits that it is taken.

        Raises:
            ApiGoneError: The platform says that the environment is broken.
        """
        return self._post(protocol.response(received, body, content_type), received.request_id)

    def fail(self, received: Received, failure: Failure) -> Coroutine[Any, Any, None]:
        """Reports that an invocation failed, in the same way.

        Raises:
            ApiGoneError: The platform says that the environment is broken.
        """
        return self._post(protocol.error(received, failure), received.request_id)

    def stream(self, received: Received) -> "StreamedResponse":
        """Returns an answer to be given in chunks; needs a line on the event loop."""
        assert isinstance(self._line, LoopLine)
        return StreamedResponse(self, self._line, received)

    async def fail_init(self, failure: Failure) -> None:
        """Reports that the function cannot be served at all."""
        await self._post(protocol.init_error(failure), "init")

    async def restored(self) -> None:
        """Waits until a snapshot has been taken and this copy of the process restored from it, however long.

        What it came by is dropped: after a restore no connection is what it was.

        Raises:
            ApiGoneError: The platform does not answer, or takes no snapshots.
        """
        try:
            answer = await self._line.exchange(protocol.RESTORE)
        except OSError as error:
            raise ApiGoneError(f"the Runtime API restores nothing: {error}") from error
        finally:
            self._line.close()
        if answer.status != 200:  # noqa: PLR2004  OK
            raise ApiGoneError(f"the Runtime API restores nothing: {_said(answer)}")

    async def fail_restore(self, failure: Failure) -> None:
        """Reports that the function cannot be served after a restore."""
        await self._post(protocol.restore_error(failure), "restore")

    def _post(self, request: Request, about: str) -> Coroutine[Any, Any, None]:
        sent = self._line.exchange(request, limit=POST_TIMEOUT)
        return self._judged(request, sent, about)

    async def _judged(
        self, request: Request, sent: Coroutine[Any, Any, Answer], about: str
    ) -> None:
        answer = await self._delivered(request, sent, about)
        if answer is not None:
            self.judge(answer, about)

    def judge(self, answer: Answer, about: str) -> None:
        """Takes note of what the platform says to an answer.

        Raises:
            ApiGoneError: That the environment is broken.
        """
        if answer.status == protocol.ACCEPTED:
            return
        if answer.status >= 500:  # noqa: PLR2004  documented as: exit promptly
            raise ApiGoneError(f"the Runtime API is broken: {_said(answer)}")
        _log.warning("the answer to %s was not taken: %s", about, _said(answer))

    async def _delivered(
        self, request: Request, sent: Coroutine[Any, Any, Answer], about: str
    ) -> Answer | None:
        """Returns what the platform said, or None if nobody knows.

        An exchange that broke is tried once more: if the first one did arrive, the platform refuses the second.
        """
        try:
            return await sent
        except OSError as error:
            _log.warning("the answer to %s is sent again: %s", about, error)
        try:
            answer = await self._line.exchange(request, limit=POST_TIMEOUT)
        except OSError as error:
            _log.error("whether the answer to %s arrived is not known: %s", about, error)
            return None
        return None if answer.status in protocol.OVER else answer

    def close(self) -> None:
        """Drops the connection."""
        self._line.close()


class StreamedResponse:
    """The answer to one invocation, in chunks. It is begun with the first, so that a failure before is an ordinary one.

    What was sent cannot be sent again: a connection that is lost ends it.

    Args:
        api: Whose invocation it is.
        line: The connection.
        received: The invocation.

    Attributes:
        over: Done when the platform takes no more of it.
    """

    def __init__(self, api: RuntimeApi, line: LoopLine, received: Received) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._api = api
        self._line = line
        self._received = received
        self._upload: Upload | None = None

    async def send(self, chunk: object) -> None:
        """Sends one chunk, and waits while the platform is slow to take it.

        Raises:
            RuntimeFailureError: It is no chunk.
            OSError: The platform cannot be reached, or not any more.
        """
        from warmkit.runtime import chunks  # only where somebody streams

        if self._upload is None:
            content_type, data = chunks.first(chunk)
            self._upload = await self._begun(content_type)
        else:
            data = chunks.data_of(chunk)
        await self._upload.send(chunks.framed(data))

    async def end(self, failure: Failure | None) -> None:
        """Ends it: whole, or with what went wrong.

        Raises:
            ApiGoneError: The platform says that the environment is broken.
        """
        from warmkit.runtime import chunks

        about = self._received.request_id
        if self._upload is None and failure is not None:
            await self._api.fail(self._received, failure)
            return
        try:
            upload = self._upload or await self._begun(BINARY)
            answer = await upload.end(chunks.ending(failure, about), limit=POST_TIMEOUT)
        except OSError as error:
            _log.error("the platform took no more of the streamed answer to %s: %s", about, error)
        else:
            self._api.judge(answer, about)

    async def _begun(self, content_type: str) -> Upload:
        head = protocol.streamed_response(self._received, content_type)
        upload = await self._line.upload(head)
        upload.answer.add_done_callback(self._note_answer)
        return upload

    def _note_answer(self, answer: asyncio.Future[Answer]) -> None:
        if not answer.cancelled():
            answer.exception()  # whoever ends it is told
        if not self.over.done():
            self.over.set_result(None)


def _said(answer: Answer) -> str:
    return f"{answer.status} {answer.body[:500].decode('utf-8', 'replace')}"
