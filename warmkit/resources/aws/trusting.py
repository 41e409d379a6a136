"""An HTTP session for aiobotocore that loads the root certificates that it needs, not all that it may trust.

It is aiobotocore's extension point `http_session_cls`. It trusts whom aiobotocore's own trusts, and nobody else.
"""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from aiohttp import BaseConnector, ClientConnectorCertificateError
from botocore.exceptions import BotoCoreError
from botocore.httpsession import get_cert_path

from warmkit.resources.aws.idle_sockets import IdleSockets
from warmkit.resources.aws.roots import Few

_AMAZONS = (".amazonaws.com", ".api.aws")


class Trusting(IdleSockets):
    """A session with Amazon's roots alone, for Amazon's endpoints and for those without TLS; and one with all roots.

    A request that the first cannot make, as a certificate descends from none of its roots, the second makes, and all after it.
    """

    def __init__(self, *, verify: Any = True, **options: Any) -> None:
        bundle = get_cert_path(verify) if verify and not options.get("proxies") else None
        self._few = Few.of(bundle) if isinstance(bundle, str) else None
        few: Any = verify if self._few is None else self._few.path
        super().__init__(verify=few, **options)
        self._thorough = IdleSockets(verify=verify, **options)
        self._few_suffice = self._few is not None

    async def __aenter__(self) -> Self:
        await self._thorough.__aenter__()
        await super().__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        try:
            await self._thorough.__aexit__(exc_type, exc_val, exc_tb)
        finally:
            await super().__aexit__(exc_type, exc_val, exc_tb)
            if self._few is not None:
                self._few.close()

    async def send(self, request: Any) -> Any:
        """Sends a request of botocore's, and returns the answer."""
        if not self._few_suffice or not _may_do_with_few(request.url):
            return await self._thorough.send(request)
        try:
            return await super().send(request)
        except BotoCoreError as error:
            if not isinstance(error.kwargs.get("error"), ClientConnectorCertificateError):
                raise
        self._few_suffice = False
        return await self._thorough.send(request)

    def connectors(self) -> Iterator[BaseConnector]:
        """Yields the connection pools of both."""
        yield from super().connectors()
        yield from self._thorough.connectors()


def _may_do_with_few(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" or (parts.hostname or "").endswith(_AMAZONS)


def capturing(captured: list[Trusting]) -> type[Trusting]:
    """Returns the class for one client, whose instance will be found in the list."""

    class Captured(Trusting):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            captured.append(self)

    return Captured
