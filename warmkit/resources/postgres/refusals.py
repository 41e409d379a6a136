"""Refuses what `postgres_pool` is given and can never work. Shows no text of the user's: it may be a DSN."""

from collections.abc import Mapping
from typing import cast, get_args

from warmkit import DefinitionError, Resource
from warmkit.resources.errors import DsnError
from warmkit.resources.postgres.dsn import read_target
from warmkit.resources.postgres.iam import FORM, password_problem, weak_tls
from warmkit.resources.postgres.session import ResetMode

_OURS = {
    "connect": "pass a function as dsn",
    "connection_class": "it is how warmkit watches the connections",
    "init_size": "one connection is opened at start",
    "loop": "it is that of the environment",
    "max_inactive_connection_lifetime": "use max_gap",
    "max_queries": "use max_age",
    "min_size": "one connection is opened at start",
    "timeout": "use start_timeout",
}


def refuse_wrong(
    dsn: object, max_size: object, reset: object, options: Mapping[str, object]
) -> None:
    """Refuses wrong types and values, and asyncpg's options that are ours to set.

    Raises:
        DefinitionError: One is.
    """
    if not (dsn is None or isinstance(dsn, str) or callable(dsn)):
        raise DefinitionError(
            f"dsn must be a str, a function that returns one, or None, not {type(dsn).__name__}"
        )
    if max_size is not None and (type(max_size) is not int or max_size < 1):
        came = max_size if type(max_size) is int else type(max_size).__name__
        raise DefinitionError(f"max_size must be a whole number from 1, or None, not {came}")
    if reset not in get_args(ResetMode):  # what came may be a DSN in the wrong place
        words = " or ".join(repr(word) for word in get_args(ResetMode))
        raise DefinitionError(f"reset must be {words}")
    settings = options.get("server_settings")
    if settings is not None and not _is_texts_by_name(settings):
        raise DefinitionError("server_settings must be a dict of str by str, or None")
    for option in _OURS.keys() & options.keys():
        raise DefinitionError(f"postgres_pool takes no {option}: {_OURS[option]}")


def _is_texts_by_name(settings: object) -> bool:
    if not isinstance(settings, dict):
        return False
    found = cast("dict[object, object]", settings)
    return all(isinstance(text, str) for item in found.items() for text in item)


def refuse_what_does_not_go_together(
    dsn: object, reset: object, options: Mapping[str, object], *, pooler: object, iam: object
) -> None:
    """Refuses what contradicts `pooler` and `iam`.

    Raises:
        DefinitionError: Something does.
    """
    for option, value in (("pooler", pooler), ("iam", iam)):
        if not isinstance(value, bool):
            raise DefinitionError(f"{option} must be True or False, not {type(value).__name__}")
    if pooler and reset == "always":
        raise DefinitionError(
            "behind a pooler a reset meets another session than the one that was changed.\n"
            "  Write it without reset='always'."
        )
    if pooler and options.get("statement_cache_size"):
        raise DefinitionError(
            "behind a pooler no statement can be kept.\n  Write it without statement_cache_size."
        )
    if iam:
        _refuse_what_iam_cannot_use(dsn, options)


def refuse_no_breaker(breaker: object) -> None:
    """Refuses what cannot guard the pool.

    Raises:
        DefinitionError: It is no recipe of a breaker.
    """
    if breaker is not None and not isinstance(breaker, Resource):
        came = type(breaker).__name__
        raise DefinitionError(f"breaker must be what circuit_breaker() returned, not {came}")


def _refuse_what_iam_cannot_use(dsn: object, options: Mapping[str, object]) -> None:
    text = dsn if isinstance(dsn, str) and _is_readable(dsn) else None
    if problem := password_problem(text, options):
        raise DefinitionError(f"iam=True: {problem}.\n  Write: {FORM}")
    if "ssl" in options and weak_tls(options["ssl"]):
        raise DefinitionError(
            "iam=True: RDS takes tokens over TLS only.\n  Write ssl='verify-full', ssl='require', or neither."
        )
    if "service" in options:
        raise DefinitionError(
            "iam=True: a token is signed for a host.\n  Write host=..., or a DSN."
        )


def _is_readable(dsn: str) -> bool:
    try:
        read_target(dsn, {})
    except DsnError:
        return False  # the start says so
    return True
