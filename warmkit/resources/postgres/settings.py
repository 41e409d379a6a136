"""What a connection says of itself when it opens: its name, and what a pooler would else set for it again and again.

All of it goes into the startup message, so it costs no statement. What the user says goes first.
"""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

LONGEST = 63
"""Bytes of a name that PostgreSQL keeps (NAMEDATALEN - 1).

Source: https://www.postgresql.org/docs/current/runtime-config-logging.html (application_name)
"""
_UNPRINTABLE = re.compile(r"[^!-~]")


def application_name(function: str, environment_id: str) -> str:
    """Returns "function/environment", or just the function where no environment is to be told, in at most 63 bytes."""
    end = f"/{environment_id}" if environment_id else ""
    return _UNPRINTABLE.sub("?", function or "warmkit")[: LONGEST - len(end)] + end


def startup_settings(
    dsn: str | None, options: Mapping[str, Any], *, name: str, pooler: bool
) -> dict[str, str]:
    """Returns the `server_settings` for a connection.

    Args:
        dsn: The DSN; what its query says stays out of the result, as asyncpg reads it there.
        options: asyncpg's; what their `server_settings` say goes first.
        name: The application_name, if nobody gave another.
        pooler: Whether a pooler stands in between.
    """
    ours = {"application_name": os.environ.get("PGAPPNAME") or name}
    if pooler:
        # asyncpg asks for the encoding "'utf-8'" and the server reports "UTF8". pgbouncer takes that for a
        # difference, and mends it with a SET before each transaction. Said twice, the second time counts.
        ours["client_encoding"] = "UTF8"
    in_dsn = parse_qs(urlsplit(dsn or "").query)
    return {
        **{key: text for key, text in ours.items() if key not in in_dsn},
        **(options.get("server_settings") or {}),
    }
