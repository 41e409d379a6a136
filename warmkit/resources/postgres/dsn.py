"""Reads a PostgreSQL DSN for what may be said of it: where it leads, and as whom. Never quotes it.

asyncpg reads it again; what could make the two disagree is refused, because then a piece of the password would
pass for a host or a port, and be quoted.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from warmkit.resources.errors import DsnError

FORM = "postgresql://user:password@host:port/database"
SYSTEM_USER = "(system user)"
"""Who connects where nobody is named: asyncpg takes the user that runs the process."""
_ESCAPE = (
    "In user and password write special characters in percent-encoding: "
    "urllib.parse.quote(password, safe='')."
)


class Target(NamedTuple):
    """Where a DSN leads.

    Attributes:
        server: "host:port", or several, separated by commas.
        user: As whom.
    """

    server: str
    user: str


def read_target(dsn: str | None, options: Mapping[str, Any]) -> Target:
    """Returns where a connection with this DSN and these options of asyncpg leads.

    Raises:
        DsnError: The DSN cannot be read.
    """
    parts = _split(dsn) if dsn is not None else SplitResult("", "", "", "", "")
    userinfo, _, hosts = parts.netloc.rpartition("@")
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    user = options.get("user") or unquote(userinfo.partition(":")[0]) or query.get("user")
    return Target(
        _server(options, hosts, query), str(user or os.environ.get("PGUSER") or SYSTEM_USER)
    )


def has_password(dsn: str | None) -> bool:
    """Whether a DSN that can be read contains a password."""
    parts = urlsplit(dsn or "")
    in_userinfo = parts.netloc.rpartition("@")[0].partition(":")[2]
    return bool(in_userinfo or {"password", "passfile"} & parse_qs(parts.query).keys())


def secrets(dsn: str | None, options: Mapping[str, Any]) -> frozenset[str]:
    """Returns the texts that must not be shown to anybody."""
    parts = urlsplit(dsn or "")
    password = parts.netloc.rpartition("@")[0].partition(":")[2]
    query = parse_qs(parts.query)
    found = [password, unquote(password), options.get("password"), os.environ.get("PGPASSWORD")]
    found += query.get("password", []) + query.get("sslpassword", [])
    return frozenset(text for text in found if isinstance(text, str) and text)


def _split(dsn: str) -> SplitResult:
    try:
        parts = urlsplit(dsn)
    except ValueError:
        problem = "its host cannot be read"
    else:
        problem = _problem(dsn, parts)
        if not problem:
            return parts
    raise DsnError(f"the DSN cannot be used: {problem}.\n  Write: {FORM}. {_ESCAPE}")


def _problem(dsn: str, parts: SplitResult) -> str:
    if parts.scheme not in ("postgresql", "postgres"):
        return "it must begin with postgresql:// or postgres://"
    if dsn.count("@") > 1 or ("@" in dsn and "@" not in parts.netloc):
        return "an @ stands where it does not separate the password from the host"
    hosts = parts.netloc.rpartition("@")[2].split(",")
    if not all(_port(host).isdecimal() or not _port(host) for host in hosts):
        return "a port is no number"
    return ""


def _port(host: str) -> str:
    return host.rpartition("]")[2].partition(":")[2]


def _server(options: Mapping[str, Any], hosts: str, query: Mapping[str, str]) -> str:
    found = options.get("host") or unquote(hosts) or query.get("host") or os.environ.get("PGHOST")
    names = _listed(found or "localhost")
    ports = _listed(options.get("port") or query.get("port") or os.environ.get("PGPORT") or "5432")
    ports *= len(names) if len(ports) == 1 else 1
    return ",".join(_with_port(name, port) for name, port in zip(names, ports, strict=False))


def _listed(value: Any) -> list[str]:
    return str(value).split(",") if isinstance(value, str | int) else [str(item) for item in value]


def _with_port(host: str, port: str) -> str:
    return host if host.startswith("/") or _port(host) else f"{host}:{port}"
