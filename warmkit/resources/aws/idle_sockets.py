"""An HTTP session for aiobotocore that can see and drop its idle connections.

It is aiobotocore's extension point `http_session_cls`. Neither aiobotocore nor aiohttp has a documented way to the
idle connections, so two undocumented names are used: `AIOHTTPSession._sessions` and `BaseConnector._conns`. A
contract test holds them. Should they change, `drop` raises, and the core rebuilds the client instead.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import BaseConnector, TCPConnector

from warmkit.resources.sockets import are_quiet


class IdleSockets(AIOHTTPSession):
    """An HTTP session of one client, with its connection pools. Lives as long as the client."""

    def are_quiet(self) -> bool:
        """Whether the other end has closed none of the idle connections. Never waits."""
        return are_quiet(self._idle())

    def drop(self) -> None:
        """Closes the idle connections; those in use stay. Addresses are looked up anew."""
        for transport in self._idle():
            transport.abort()  # a farewell could wait for ever on a flow that the network has dropped
        for connector in self.connectors():
            if isinstance(connector, TCPConnector):
                connector.clear_dns_cache()

    def _idle(self) -> Iterator[asyncio.WriteTransport]:
        for connector in self.connectors():
            for waiting in connector._conns.values():  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
                for protocol, _ in waiting:
                    if protocol.transport is not None:
                        yield protocol.transport

    def connectors(self) -> Iterator[BaseConnector]:
        """Yields its connection pools."""
        sessions: dict[Any, Any] = vars(self)["_sessions"] or {}  # None before and after its life
        for session in sessions.values():
            if session.connector is not None:
                yield session.connector
