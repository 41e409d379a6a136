"""The demo itself: what is done in which order, and what must hold in the end."""

from __future__ import annotations

import inspect
import os
from contextlib import closing, suppress
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from warmkit import TeardownError
from warmkit.local.demo import handlers
from warmkit.local.demo.acts import Act, WarmAct
from warmkit.local.demo.figures import measure
from warmkit.local.demo.orders import Order, read_orders
from warmkit.local.demo.screen import Check, Screen
from warmkit.local.demo.servers import Servers, own_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from warmkit import WarmHandler
    from warmkit.local.demo.interrupts import Interrupts


class Versions(NamedTuple):
    """The two handlers that are compared."""

    without: Callable[..., Any] = handlers.without_warmkit
    with_: WarmHandler[Any] = handlers.with_warmkit


_VERSIONS = Versions()


def run(
    invocations: int, *, screen: Screen, interrupts: Interrupts, versions: Versions = _VERSIONS
) -> bool:
    """Run the demo, and return whether everything held.

    Args:
        invocations: How often each version is invoked; at least 4.
        screen: Where it prints.
        interrupts: What may end it early.
        versions: What is compared.

    Raises:
        ServerError: One of the servers did not start, or not do what it was asked to.
        Interrupted: A signal came.
    """
    orders = read_orders()
    _introduce(screen)
    with own_environment(), closing(Servers(orders)) as servers:
        servers.start(interrupts, lambda text: screen.say(f"  {text}"))
        os.environ.update(servers.environment)
        _rehearse(versions, orders[0], interrupts)
        wanted = list(islice(cycle(orders), invocations))
        stage = (servers, wanted, screen, interrupts)
        without, with_ = Act(versions.without, *stage), WarmAct(versions.with_, *stage)
        _play_both(without, with_, screen)
    return _conclude(without, with_, screen)


def _introduce(screen: Screen) -> None:
    screen.say("One handler, without and with warmkit.", "bold")
    screen.say("It looks up an order in PostgreSQL and its receipt in S3. The orders are real:")
    screen.say("244 restaurant bills of 1990.\n")
    screen.say("Starting PostgreSQL and an S3 server (moto) on this machine ...")


def _rehearse(versions: Versions, order: Order, interrupts: Interrupts) -> None:
    """Call each version once, uncounted: whichever comes first would pay for Python's imports."""
    measure(versions.without, 0, order)
    interrupts.obey()
    measure(versions.with_, 0, order)
    with suppress(TeardownError):  # what is counted will show it again
        versions.with_.close()


def _play_both(without: Act, with_: WarmAct, screen: Screen) -> None:
    screen.say("Each version was called once, uncounted: no time below is spent on imports.")
    screen.title("1. Without warmkit: every invocation opens what it needs, and closes it.")
    without.play()
    screen.title("2. With warmkit: what is open stays open. This is the whole handler:")
    screen.say(_indented(inspect.getsource(inspect.unwrap(with_.handler))), "blue")
    with_.play()


def _indented(source: str) -> str:
    return "".join(f"    {line}" for line in source.splitlines(keepends=True))


def _conclude(without: Act, with_: WarmAct, screen: Screen) -> bool:
    screen.title("3. Side by side")
    screen.compare(without.figures, with_.figures)
    screen.title("Did it hold?")
    checks = _checks(without, with_)
    screen.checks(checks)
    held = all(check.held for check in checks)
    screen.say("\nThe servers are stopped, their files removed.")
    return held


def _checks(without: Act, with_: WarmAct) -> list[Check]:
    both = (without.figures, with_.figures)
    calls = sum(len(item.measured) for item in both)
    right, failed = sum(item.right for item in both), sum(item.failed for item in both)
    return [
        Check(right == calls, "Every answer is what the CSV file says", f"{right} of {calls}"),
        Check(not failed, "No invocation failed", f"{failed} of {calls}"),
        *_checks_of_what_happened(with_),
        _check_speed(*(item.median_ms for item in both)),
    ]


def _checks_of_what_happened(with_: WarmAct) -> list[Check]:
    ended, opened = with_.ended, with_.figures.connections
    return [
        Check(
            ended > 0 and opened == 1 + ended,
            "warmkit replaced the ended connection, and opened no other",
            f"{ended} ended, {opened} opened",
        ),
        Check(with_.checked, "After the freeze it checked the connection before using it"),
        Check(not with_.close_problem, "The environment closed in order", with_.close_problem),
        Check(not with_.left, "No connection is left on the server", f"{with_.left} left"),
    ]


def _check_speed(without_ms: float, with_ms: float) -> Check:
    promise = "With warmkit the median invocation is faster"
    return Check(with_ms < without_ms, promise, f"{without_ms / with_ms:.0f} times")
