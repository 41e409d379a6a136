"""The front door of the kit: tries the rules one by one, and tells what came of them.

A rule is tried in a thread of its own, so that it works inside a running event loop too, and one that blocks for
ever ends the rule and not the tests.
"""

import difflib
import gc
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar, cast, overload

from warmkit import Resource, UsageError
from warmkit.recipe import is_resource
from warmkit.testing.conformance.leaks import Ledger
from warmkit.testing.conformance.report import (
    ConformanceError,
    Outcome,
    Report,
    Standing,
    told,
)
from warmkit.testing.conformance.rule import Rule
from warmkit.testing.conformance.rules import RULES
from warmkit.testing.conformance.secrets import masked
from warmkit.testing.conformance.world import Finding, Subject, World, make_recipe
from warmkit.testing.relay import Address

T = TypeVar("T")

REAL_LIMIT = 60.0
"""Real seconds for one rule: nothing but code that blocks its thread takes so long."""


@overload
def check_resource(
    make: Callable[[Address], Resource[T]],
    *,
    use: Callable[[T], object],
    server: tuple[str, int] | str,
    secrets: Iterable[str] = (),
    only: Rule | str | None = None,
) -> Report: ...
@overload
def check_resource(
    make: Callable[[], Resource[T]],
    *,
    use: Callable[[T], object],
    secrets: Iterable[str] = (),
    only: Rule | str | None = None,
) -> Report: ...


def check_resource(
    make: Callable[..., Resource[Any]],
    *,
    use: Callable[[Any], object],
    server: tuple[str, int] | str | None = None,
    secrets: Iterable[str] = (),
    only: Rule | str | None = None,
) -> Report:
    """Checks that a resource of your own starts, stays fresh, survives its server, and leaves nothing behind.

    Each rule is tried in an environment of its own, on real sockets, with a relay in front of the server that resets,
    hangs and refuses. Gaps between invocations are virtual, and deadlines are the resource's own; waiting for a
    silent server costs no time.

    ```python
    def test_the_search_client():
        check_resource(
            lambda address: search_client(f"http://{address}"),
            use=lambda client: client.count(),
            server=("127.0.0.1", 9200),
        )
    ```

    Args:
        make: Makes the recipe, for the address that it is to connect to; without a server it takes nothing.
        use: What a handler does with the value, async or not: it sends a request to the server, and returns the same
            each time.
        server: Host and port of the real server; default: the resource needs none.
        secrets: What nothing may show: passwords, tokens.
        only: The one rule to try, as one of several tests; default: all of them.

    Returns:
        What came of each rule; `print` it.

    Raises:
        ConformanceError: Rules are broken; it says what was expected, what came, and what to write instead.
        UsageError: An argument can never work.
    """
    subject = _subject(make, use, server, secrets)
    rules = RULES if only is None else (_rule_called(only),)
    recipe = make_recipe(subject, subject.server)  # to look at: it is never started
    gc.collect()  # what others have left behind is theirs
    report = Report(recipe.name, tuple(_try(rule, subject, recipe) for rule in rules))
    errors = [item.error for item in report.of(Standing.BROKEN) if item.error is not None]
    if report.of(Standing.BROKEN):
        raise ConformanceError(report) from _as_one(errors)
    return report


def _try(rule: Rule, subject: Subject, recipe: Resource[Any]) -> Outcome:
    reason = rule.exempt(subject, recipe)
    if reason:
        return Outcome(rule.name, Standing.NOT_APPLICABLE, rule.expected, reason)
    found: list[Outcome] = []
    with Ledger() as ledger:
        thread = threading.Thread(
            target=lambda: found.append(_tried(rule, subject, recipe.name, ledger)),
            name=rule.name,
            daemon=True,
        )
        thread.start()
        thread.join(REAL_LIMIT)
        outcome = found.pop() if found else _blocked(rule, thread)
        if outcome.standing is Standing.BROKEN:
            _let_go(outcome.error)
        return outcome


def _tried(rule: Rule, subject: Subject, name: str, ledger: Ledger) -> Outcome:
    obeyed = Outcome(rule.name, Standing.OBEYED, rule.expected)
    broken = obeyed._replace(standing=Standing.BROKEN)
    try:
        with World(subject, ledger) as world:
            rule.body(world)
    except Finding as finding:
        came = masked(finding.came, subject.secrets)
        write = (finding.write or rule.write).replace("{name}", name)
        return broken._replace(came=came, write=write, error=finding.error)
    except BaseException as error:  # noqa: BLE001  whatever a user's code raises is an outcome
        came, write = masked(told(error), subject.secrets), rule.write.replace("{name}", name)
        return broken._replace(came=came, write=write, error=error)
    return obeyed


def _blocked(rule: Rule, thread: threading.Thread) -> Outcome:
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  documented
    where = traceback.extract_stack(frame)[-1] if frame is not None else None
    place = f" in {where.name}, {where.filename}:{where.lineno}" if where is not None else ""
    return Outcome(
        rule.name,
        Standing.BROKEN,
        rule.expected,
        f"it had not ended after {REAL_LIMIT:g} s; it blocks{place}",
        "do not block the event loop: use an asynchronous client, or asyncio.to_thread and a timeout.",
    )


def _let_go(error: BaseException | None) -> None:
    """Collects what was left open, as long as the ledger hears the complaints: tracebacks hold on to it."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            for outer, _ in traceback.walk_stack(frame):
                with suppress(RuntimeError):  # it has not ended
                    outer.clear()
        error = error.__cause__ or error.__context__
    gc.collect()


# -- arguments


def _subject(make: object, use: object, server: object, secrets: object) -> Subject:
    for name, function in (("make", make), ("use", use)):
        if not callable(function):
            hint = ": make=lambda address: it" if is_resource(function) else ""
            raise UsageError(
                f"{name} must be a function, not {type(function).__name__}.\n"
                f"  Write a function{hint or f', {name}=...'}"
            )
    if isinstance(secrets, str) or not all(_is_secret(item) for item in cast("Any", secrets)):
        raise UsageError("secrets must be texts that are not empty.\n  Write: secrets=[password]")
    hidden = tuple(cast("Iterable[str]", secrets))
    functions = cast("Any", make), cast("Any", use)
    return Subject(*functions, None if server is None else _address(server), hidden)


def _is_secret(item: object) -> bool:
    return isinstance(item, str) and bool(item)


def _address(server: object) -> Address:
    host, port = _split(server)
    if not host or not 0 < port < 65536:  # noqa: PLR2004  what a TCP port is
        raise UsageError(
            "server must be a host and a port.\n"
            "  Write: server=('127.0.0.1', 6379), or server='127.0.0.1:6379', without scheme and path."
        )
    return Address(host, port)


def _split(server: object) -> tuple[str, int]:
    host, port = "", "0"
    if isinstance(server, str):
        host, _, port = server.rpartition(":")
    elif isinstance(server, tuple) and len(cast("tuple[object, ...]", server)) == 2:  # noqa: PLR2004  host and port
        host, port = (str(part) for part in cast("tuple[object, object]", server))
    return host, int(port) if port.isdecimal() and "/" not in host else 0


def _rule_called(only: Rule | str) -> Rule:
    names = [rule.name for rule in RULES]
    if str(only) in names:
        return RULES[names.index(str(only))]
    close = difflib.get_close_matches(str(only), names, n=1)
    meant = f"Did you mean {close[0]!r}?" if close else f"Write one of: {', '.join(names)}."
    raise UsageError(f"there is no rule {str(only)!r}.\n  {meant}")


def _as_one(errors: list[BaseException]) -> BaseException | None:
    if len(errors) < 2:  # noqa: PLR2004  several need a group
        return errors[0] if errors else None
    return BaseExceptionGroup("what was raised, rule by rule", errors)
