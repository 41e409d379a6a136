"""What IAM authentication asks of a DSN and of asyncpg's options, and what it adds to them for one connection."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from warmkit.resources.errors import IamTokenError
from warmkit.resources.postgres.dsn import SYSTEM_USER, Target, has_password

_WEAK = ("disable", "allow", "prefer")
FORM = "postgresql://user@host:port/database"


class Login(dict[str, Any]):
    """Options for one connection that must not be shown.

    Attributes:
        token: The password in them.
    """

    def __init__(self, token: str, ssl: Mapping[str, str]) -> None:
        # A function: asyncpg keeps what it was given with the connection, and hands it to query loggers.
        super().__init__(password=lambda: token, **ssl)
        self.token = token

    def __repr__(self) -> str:
        return "<Login>"


async def log_in(
    session: Any, dsn: str | None, options: Mapping[str, Any], target: Target
) -> Login:
    """Signs a token for one new connection.

    Raises:
        IamTokenError: The DSN and the options do not say who connects to where, over TLS and without another
            password; or nothing can be signed.
    """
    problem = password_problem(dsn, options) or _target_problem(target)
    if problem:
        raise IamTokenError(problem, f"Write: {FORM}")
    ssl = _tls(dsn, options)
    host, _, port = target.server.rpartition(":")
    from warmkit.resources.aws.rds_token import rds_token

    return Login(await rds_token(session, host=host, port=port, user=target.user), ssl)


def password_problem(dsn: str | None, options: Mapping[str, Any]) -> str:
    """Returns what is wrong with a password beside the token; empty: there is none."""
    given = has_password(dsn) or {"password", "passfile"} & options.keys()
    return "a password is given, and IAM makes one for each connection" if given else ""


def weak_tls(mode: object) -> bool:
    """Whether a token could be sent in the clear, to whoever stands in between."""
    return mode is False or getattr(mode, "name", mode) in _WEAK


def _target_problem(target: Target) -> str:
    if target.user == SYSTEM_USER:
        return "no user is given"
    if target.server.startswith("/") or "," in target.server:
        return "a token is signed for one host and port"
    return ""


def _tls(dsn: str | None, options: Mapping[str, Any]) -> dict[str, str]:
    in_dsn = parse_qs(urlsplit(dsn or "").query).get("sslmode", [None])[-1]
    mode = options.get("ssl", in_dsn or os.environ.get("PGSSLMODE"))
    if mode is None:
        return {"ssl": "require"}
    if weak_tls(mode):
        raise IamTokenError(
            "TLS is not required, so the token could be sent in the clear",
            "Write sslmode=verify-full with the certificates of RDS, sslmode=require, or neither.",
        )
    return {}
