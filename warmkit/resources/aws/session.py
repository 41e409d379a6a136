"""The AWS session that all clients of an environment share: what its clients need of it is loaded once."""

from typing import TYPE_CHECKING

from warmkit import Resource, resource
from warmkit.resources.aws.collector import uncollected
from warmkit.resources.errors import needing

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

START_TIMEOUT = 10.0
"""Seconds. Importing the AWS client takes 0.3 s of a whole processor, and a function of 128 MB has a fourteenth.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html (1769 MB: one vCPU)
"""


def _session() -> "AioSession":
    with uncollected():
        with needing("aiobotocore", extra="aws"):
            from aiobotocore.session import get_session
        session = get_session()
        _quicken(session)
    return session


def _quicken(session: "AioSession") -> None:
    """Gives the session a loader that takes less time, unless somebody has given it one of their own."""
    from botocore.loaders import Loader

    from warmkit.resources.aws.models import QuickLoader

    loader = session.get_component("data_loader")
    if type(loader) is Loader:
        session.register_component("data_loader", QuickLoader.like(loader))


aws_session: "Resource[AioSession]" = resource(name="aws_session", start_timeout=START_TIMEOUT)(
    _session
)
"""Credentials are its own business: the default chain finds and renews them, nothing here reads or keeps them."""
