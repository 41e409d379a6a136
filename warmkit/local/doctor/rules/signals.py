"""WK4xx: signal handlers that meet warmkit's."""

from __future__ import annotations

import ast
import signal
from typing import TYPE_CHECKING, Any

from warmkit.local.doctor.finding import Found, Place, Severity
from warmkit.local.doctor.rule import rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warmkit.local.doctor.subject import Subject


@rule(
    "WK401",
    Severity.WARNING,
    "a SIGTERM handler of your own",
    happens="Lambda announces the end with SIGTERM, and a process has one handler for it: of yours and the one "
    "that closes all resources, only the last one set runs",
    write="what is to be done at the end after the yield of a resource",
)
def on_sigterm(subject: Subject) -> Iterator[Found]:
    """See that it was set at import, or that a loop's handler is set in the text."""
    if signal.SIGTERM in subject.watch.signals:
        yield Found(_set_at(subject, signal.SIGTERM), "the import sets a handler of SIGTERM")
    for source, call in subject.text_calls:
        if call.name.endswith(".add_signal_handler") and "SIGTERM" in ast.dump(call.node):
            place = source.place(call.node.lineno)
            yield Found(place, "add_signal_handler takes SIGTERM over")


@rule(
    "WK402",
    Severity.WARNING,
    "SIGALRM taken",
    happens="warmkit ends a plain def that runs out of time with SIGALRM, and stays away where it is taken: the "
    "platform kills the environment instead",
    write="the deadline of warm_handler, and asyncio.timeout or the client's own timeouts for parts",
)
def on_sigalrm(subject: Subject) -> Iterator[Found]:
    """See that a handler was set, or a timer left running, at import."""
    if signal.SIGALRM in subject.watch.signals:
        yield Found(_set_at(subject, signal.SIGALRM), "the import sets a handler of SIGALRM")
    elif subject.watch.timer:
        yield Found(Place(), "the import leaves a timer running that ends in SIGALRM")


def _set_at(subject: Subject, number: signal.Signals) -> Place:
    for source, call in subject.text_calls:
        if call.name == "signal.signal" and number.name in ast.dump(call.node):
            return source.place(call.node.lineno)
    code: Any = getattr(subject.watch.signals[number], "__code__", None)
    return Place() if code is None else Place(code.co_filename, code.co_firstlineno)
