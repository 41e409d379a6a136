"""An internal extension that does nothing: for its sake the platform sends SIGTERM before it ends the environment.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

import asyncio
import logging

from warmkit.runtime import protocol
from warmkit.runtime.http import Line

_log = logging.getLogger("warmkit")


class QuietExtension:
    """Registered in the init phase, and waiting from then on for events that it never asked for.

    Args:
        address: "host:port" of the Runtime API.
    """

    def __init__(self, address: str) -> None:
        self._line = Line(address)
        self._waiting: asyncio.Task[object] | None = None

    async def register(self) -> bool:
        """Registers; returns whether the platform took it. Nothing here fails an environment."""
        try:
            answer = await self._line.exchange(protocol.REGISTER)
        except OSError as error:
            _log.warning("SIGTERM will not be announced: %s", error)
            return False
        identifier = answer.headers.get("lambda-extension-identifier", "")
        if answer.status != 200 or not identifier:  # noqa: PLR2004  OK
            said = answer.body[:200].decode("utf-8", "replace")
            _log.info("SIGTERM will not be announced: %s %s", answer.status, said)
            return False
        self._waiting = asyncio.create_task(self._wait(identifier), name="warmkit:extension")
        return True

    async def _wait(self, identifier: str) -> None:
        """Asks for the next event, which never comes: init is not over until every extension has asked."""
        try:
            await self._line.exchange(protocol.next_event(identifier))
        except OSError as error:
            _log.info("the extension's connection ended: %s", error)

    def close(self) -> None:
        """Drops the connection."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._line.close()
