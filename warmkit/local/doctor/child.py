"""The process in which a stranger's code is examined: `python -m warmkit.local.doctor.child`.

It writes what it knows to files, stage by stage, so that whoever watches has it whatever happens here. Where a
stage takes too long the process ends itself, from a thread that needs no lock of Python's, and leaves
the stack. Arguments: the directory for the files, and the order as JSON.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from warmkit.local.doctor.examine import Order, examine
from warmkit.local.doctor.files import CANNOT, KNOWN, REPORT, STACK, STAGE, write
from warmkit.local.target import TargetError

if TYPE_CHECKING:
    from warmkit.local.doctor.finding import Report


class Stages:
    """Tells the files how far it has come."""

    def __init__(self, home: Path) -> None:
        """Begin nothing yet."""
        self._home = home
        self._stack = (home / STACK).open("wb")

    def begin(self, stage: str, seconds: float) -> None:
        """Note the stage, and end the process if it lasts too long."""
        faulthandler.cancel_dump_traceback_later()
        write(self._home / STAGE, stage)
        faulthandler.dump_traceback_later(seconds, file=self._stack, exit=True)

    def known(self, report: Report) -> None:
        """Note what is known by now."""
        write(self._home / KNOWN, json.dumps(report))


def main() -> None:
    """Examine, write the outcome, and leave without a farewell to whatever the user's code has started."""
    home, order = Path(sys.argv[1]), Order(*json.loads(sys.argv[2]))
    os.environ.pop("AWS_LAMBDA_RUNTIME_API", None)  # nothing starts as in the init phase
    sys.argv[1:] = []
    try:
        outcome = json.dumps(examine(order, Stages(home)))
    except TargetError as error:
        write(home / CANNOT, str(error))
    else:
        write(home / REPORT, outcome)
    with suppress(Exception):
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
