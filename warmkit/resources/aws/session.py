"""The AWS session that all clients of an environment share: its first client costs ~100 ms, each other a few."""

from typing import TYPE_CHECKING

from warmkit import Resource, resource
from warmkit.resources.errors import needing

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

START_TIMEOUT = 10.0
"""Seconds. Importing the AWS client takes 0.3 s of a whole processor, and a function of 128 MB has a fourteenth.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html (1769 MB: one vCPU)
"""


def _session() -> "AioSession":
    with needing("aiobotocore", extra="s3"):
        from aiobotocore.session import get_session
    return get_session()


aws_session: "Resource[AioSession]" = resource(name="aws_session", start_timeout=START_TIMEOUT)(
    _session
)
"""Credentials are its own business: the default chain finds and renews them, nothing here reads or keeps them."""
