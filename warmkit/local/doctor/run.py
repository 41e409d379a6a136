"""Runs an examination in a process of its own, waits for it, and leaves nothing of it behind."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmkit.local.doctor.files import CALL, CANNOT, IMPORT, KNOWN, REPORT, STACK, STAGE, read
from warmkit.local.doctor.finding import Cost, Found, Place, Report, finding_from, sort_key
from warmkit.local.doctor.rules import calls, imports
from warmkit.local.doctor.source import is_own
from warmkit.local.processes import ChildProcess, ServerError
from warmkit.local.target import TargetError, shown, split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warmkit.local.doctor.examine import Order
    from warmkit.local.doctor.finding import Finding

_MARK = "WARMKIT_DOCTOR"
_FRAME = re.compile(r'^  File "(.+)", line (\d+) in ', re.MULTILINE)
_AS_ON_LAMBDA = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_LAMBDA_FUNCTION_NAME": "doctor",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_EC2_METADATA_DISABLED": "true",  # credentials are in the environment there, nobody is asked
}
"""What code finds there at import, where nothing else is said.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""
_LEAVES_NOTHING = {"PYTHONDONTWRITEBYTECODE": "1"}
_TAIL = 5
"""How many lines are told of what it printed."""
_LONGEST = 600.0
"""Seconds. The process ends itself far earlier, unless somebody stopped it."""


def run(order: Order) -> Report:
    """Examine a handler, and return what was found.

    Args:
        order: What to do.

    Raises:
        TargetError: There is no such handler, or its module cannot be imported.
    """
    split(order.handler)
    mark = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="warmkit-doctor-") as folder:
        home = Path(folder)
        try:
            _examine(order, home, mark)
            return _outcome(order, home)
        finally:
            _end_all(mark)


def _examine(order: Order, home: Path, mark: str) -> None:
    child = ChildProcess(
        [sys.executable, "-m", f"{__package__}.child", str(home), json.dumps(order)],
        home=home,
        env={**_AS_ON_LAMBDA, **os.environ, **_LEAVES_NOTHING, _MARK: mark},
        last_signal=signal.SIGKILL,
        cwd=Path.cwd(),
    )
    try:
        with suppress(ServerError):  # it ended without an outcome: the files tell how far it came
            child.wait_until(lambda: _is_over(home), timeout=_LONGEST)
    finally:
        child.stop(signal.SIGKILL)


def _is_over(home: Path) -> bool:
    return (home / REPORT).exists() or (home / CANNOT).exists()


def _outcome(order: Order, home: Path) -> Report:
    if told := read(home / REPORT):
        return _report(json.loads(told))
    if told := read(home / CANNOT):
        raise TargetError(told)
    stack = read(home / STACK)
    stage = read(home / STAGE)
    known = read(home / KNOWN)
    if stage == IMPORT and stack:
        return Report(order.handler, (_stuck_import(order, stack),))
    if stage.startswith(CALL) and known:
        report = _report(json.loads(known))
        findings = (*report.findings, _lost_call(order, stack))
        count = int(stage.removeprefix(CALL))
        return report._replace(findings=tuple(sorted(findings, key=sort_key)), calls=count)
    doing = "imported" if stage == IMPORT else "looked at"
    said = "\n".join(read(home / "log").splitlines()[-_TAIL:])
    message = f"The process ends while {order.handler} is {doing}.\n{said}"
    raise TargetError(message.rstrip())


def _stuck_import(order: Order, stack: str) -> Finding:
    what = f"the import has not ended after {order.import_limit:g} s"
    return imports.never_ends.finding(Found(_place_in(stack), what))


def _lost_call(order: Order, stack: str) -> Finding:
    if stack:
        what = f"a call has not ended after {order.call_limit:g} s"
        return calls.never_returns.finding(Found(_place_in(stack), what))
    return calls.fails.finding(Found(Place(), "a call ended the process"))


def _place_in(stack: str) -> Place:
    """Return the innermost line of the user's in a stack that `faulthandler` wrote, the main thread's last."""
    threads = stack.split("\n\n")
    for file, line in [frame for thread in reversed(threads) for frame in _FRAME.findall(thread)]:
        if is_own(file):
            return Place(shown(file), int(line))
    return Place()


def _report(facts: list[Any]) -> Report:
    handler, findings, costs, count = facts
    return Report(
        handler,
        tuple(finding_from(item) for item in findings),
        tuple(Cost(*item) for item in costs),
        count,
    )


def _end_all(mark: str) -> None:
    """Kill what the user's code has started and moved out of our sight, where the kernel tells of it."""
    for pid in _marked(mark):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _marked(mark: str) -> Iterator[int]:
    wanted = f"{_MARK}={mark}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if wanted in path.read_bytes().split(b"\0"):
                yield int(path.parent.name)
