"""The `warmkit` command: names its subcommands.

Importing this module loads none of the packages that the subcommands need.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from warmkit.local.needs import require

if TYPE_CHECKING:
    from types import FrameType

    import click


def main() -> None:
    """Run the command that the arguments name. Never returns: the process exits."""
    signal.signal(signal.SIGINT, _leave)  # click would print "Aborted!" and exit with status 1
    require("click", "rich")
    try:
        _commands().main(prog_name="warmkit")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the interpreter's own end is a matter of ms


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _commands() -> click.Group:
    import click

    from warmkit.local.commands.invoke import invoke
    from warmkit.local.commands.serve import serve
    from warmkit.local.demo.command import demo
    from warmkit.local.doctor.command import doctor
    from warmkit.local.graph.command import graph

    about = "Resources that live as long as a Lambda execution environment."
    commands = [demo, doctor, graph, invoke, serve]
    group = click.Group("warmkit", commands=commands, help=about)
    return click.version_option(package_name="warmkit")(group)
