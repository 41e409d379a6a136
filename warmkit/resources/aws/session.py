"""The AWS session that all clients of an environment share: what its clients need of it is loaded once."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from warmkit import Resource, resource
from warmkit.resources.aws.collector import uncollected
from warmkit.resources.aws.side_by_side import beside_aiohttp
from warmkit.resources.errors import needing

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

START_TIMEOUT = 10.0
"""Seconds. Importing the AWS client takes 0.3 s of a whole processor, and a function of 128 MB has a fourteenth.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html (1769 MB: one vCPU)
"""


_SLOW_MODULES = ("urllib3", "dateutil.parser", "jmespath", "botocore.utils", "botocore.session")
_expected: list[str] = []


def expect(service: str) -> None:
    """Notes that somebody has declared a client of a service. What the first one needs may be read ahead."""
    _expected[:] = _expected or [service]


def _session() -> "AioSession":
    with uncollected():
        with needing("aiobotocore", extra="aws"):
            read = _import()
            from aiobotocore.session import get_session
        session = get_session()
        _quicken(session, read)
    return session


def _import() -> dict[str, Any]:
    """Imports aiohttp, and on a second core does meanwhile what comes next; returns what it has read, by path."""
    import aiobotocore  # noqa: F401  # pyright: ignore[reportUnusedImport]  # the first that may be missing

    read: dict[str, Any] = {}
    with beside_aiohttp(partial(_work_ahead, read)):
        import aiohttp  # noqa: F401  # pyright: ignore[reportUnusedImport]
    return read


def _work_ahead(read: dict[str, Any], is_over: Callable[[], bool]) -> None:
    from warmkit.resources.aws.reading import read_ahead

    for service in _expected:
        read_ahead(service, read)
    for module in _SLOW_MODULES:
        if not is_over():
            import_module(module)


def _quicken(session: "AioSession", read: dict[str, Any]) -> None:
    """Gives the session a loader that takes less time, unless somebody has given it one of their own."""
    from botocore.loaders import Loader

    from warmkit.resources.aws.models import QuickLoader

    loader = session.get_component("data_loader")
    if type(loader) is Loader:
        session.register_component("data_loader", QuickLoader.like(loader, read))


aws_session: "Resource[AioSession]" = resource(name="aws_session", start_timeout=START_TIMEOUT)(
    _session
)
"""Credentials are its own business: the default chain finds and renews them, nothing here reads or keeps them."""
