"""Tells from the text of an SQL statement whether it may leave something behind in its session.

What matters is what asyncpg's reset query undoes: settings, LISTEN, cursors beyond a transaction, advisory
locks. It errs on the safe side: an unneeded reset costs a round trip, a missing one leaks into the next
invocation. What a user-defined function does is beyond it.
"""

import re
from functools import lru_cache
from typing import Literal

ResetMode = Literal["auto", "always", "never"]
"""When a session is reset on its release: after a statement that may have changed it, each time, at no time."""

_HARMLESS = frozenset(
    (
        *("select", "insert", "update", "delete", "merge", "values", "with", "table"),
        *("begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release"),
        *("show", "fetch", "close", "copy", "notify", "lock", "truncate"),
    )
)
_ENDS_WITH_TRANSACTION = frozenset(("local", "transaction", "constraints"))  # SET LOCAL ...

# Searched for in the whole text, literals and comments included. Advisory locks of a transaction end with it.
_LEAVES_SOMETHING = re.compile(
    r"""set_config | set_limit | advisory(?!_xact) | dblink | replication_origin_session | pg_backup_start
      | \binto\s+(?:(?:local|global)\s+)?temp(?:orary)?\b
      | u&"  # an identifier in escapes, which could be any of the above""",
    re.IGNORECASE | re.VERBOSE,
)
_WORD = re.compile(r"\w+")
_BLANK = re.compile(r"(?:[ \t\n\r\f\v(]+|--[^\n\r]*)*")
_COMMENT_MARK = re.compile(r"/\*|\*/")


@lru_cache(maxsize=512)
def may_change_session(query: str) -> bool:
    """Whether a statement, or one of several, may change the state of its session."""
    if ";" in query.rstrip("; \t\n\r\f\v") or _LEAVES_SOMETHING.search(query):
        return True
    first, position = _next_word(query, 0)
    if first == "set":
        return _next_word(query, position)[0] not in _ENDS_WITH_TRANSACTION
    return first not in _HARMLESS


def _next_word(query: str, position: int) -> tuple[str, int]:
    """Returns the next word in lower case, and where it ends; "" if something else comes first."""
    word = _WORD.match(query, _skip_blank(query, position))
    return (word[0].lower(), word.end()) if word is not None else ("", position)


def _skip_blank(query: str, position: int) -> int:
    """Skips whitespace, opening parentheses and comments."""
    while True:
        blank = _BLANK.match(query, position)
        position = position if blank is None else blank.end()
        if not query.startswith("/*", position):
            return position
        position = _skip_comment(query, position)


def _skip_comment(query: str, position: int) -> int:
    """Skips a block comment; in PostgreSQL they nest."""
    depth = 0
    for mark in _COMMENT_MARK.finditer(query, position):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    return len(query)
