"""Signs the short-lived passwords with which RDS and Aurora let IAM identities in. Asks nobody over the network.

botocore has `generate_db_auth_token` for this, as a method of an RDS client; such a client would cost a cold start the
models of a service of which nothing is asked. The signature is the same.
"""

import os
import re
from typing import Any

from warmkit.resources.errors import IamTokenError, needing

LIFETIME = 900
"""Seconds: the most that RDS allows. A token does not outlive the credentials that signed it.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
"""

_SCHEME = "https://"  # for the signature alone; a token has none
_REGION = re.compile(r"\.([a-z0-9-]+)\.rds\.amazonaws\.com(?:\.cn)?\.?$", re.IGNORECASE)


async def rds_token(session: Any, *, host: str, port: str, user: str) -> str:
    """Returns a password for one new connection; one that is open is not cut when it expires.

    Args:
        session: aiobotocore's, whose credentials sign.
        host: The endpoint of the instance, the cluster or the proxy; the name that RDS gave it.
        port: The port.
        user: The database role.

    Raises:
        IamTokenError: There are no credentials, or no region.
    """
    with needing("aiobotocore", extra="aws"):
        from botocore.auth import SigV4QueryAuth
        from botocore.awsrequest import AWSRequest
    region = _region(session, host)
    credentials = await session.get_credentials()
    if credentials is None:
        raise IamTokenError(
            "there are no AWS credentials",
            "Give the function a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    request = AWSRequest(
        method="GET",
        url=f"{_SCHEME}{host}:{port}/",
        data={"Action": "connect", "DBUser": user},
    )
    frozen = await credentials.get_frozen_credentials()
    SigV4QueryAuth(frozen, "rds-db", region, expires=LIFETIME).add_auth(request)
    return str(request.prepare().url).removeprefix(_SCHEME)


def _region(session: Any, host: str) -> str:
    """Returns the database's region, not the function's where the two differ."""
    named = _REGION.search(host)
    region = named[1].lower() if named is not None else os.environ.get("AWS_REGION")
    region = region or session.get_config_variable("region")
    if not region:
        raise IamTokenError(
            f"the region of {host} is not known",
            "Write the host as RDS names it (it ends in .<region>.rds.amazonaws.com), or set AWS_REGION.",
        )
    return str(region)
