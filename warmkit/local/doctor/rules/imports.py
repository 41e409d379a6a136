"""WK3xx: what importing the module costs, and what it does to the world outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warmkit.local.doctor.finding import Found, Place, Severity
from warmkit.local.doctor.rule import nothing, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warmkit.local.doctor.subject import Subject

_INIT = (
    "every cold start pays for it, inside the init limit of 10 s; over the limit init begins anew"
)


@rule(
    "WK301",
    Severity.WARNING,
    "a slow import",
    happens=_INIT,
    write="import it inside the function or the resource that needs it; compute at first use, not at import",
)
def slow(subject: Subject) -> Iterator[Found]:
    """See what takes longer than the threshold."""
    for cost in subject.costs:
        if cost.ms < subject.slow_ms:
            continue
        if cost.own:
            what = f"{cost.module} itself takes {cost.ms:.0f} ms to import, without what it imports"
        else:
            what = f"importing {cost.module} takes {cost.ms:.0f} ms"
        yield Found(_importer(subject, cost.module), what)


@rule(
    "WK302",
    Severity.WARNING,
    "network at import",
    happens="an outage there fails init, again and again, before any handler runs; " + _INIT,
    write="do it in a resource: it starts at first use (or in init, with start='eager'), has a deadline, and "
    "a failure is tried again",
)
def network(subject: Subject) -> Iterator[Found]:
    """See connections and name lookups."""
    yield from _seen(subject, "network", "the import makes {what}")


@rule(
    "WK303",
    Severity.WARNING,
    "a process started at import",
    happens=_INIT + "; a process that stays is frozen with the environment",
    write="do it when the package is built, or in a resource",
)
def processes(subject: Subject) -> Iterator[Found]:
    """See programs that are started."""
    yield from _seen(subject, "process", "the import runs {what}")


@rule(
    "WK304",
    Severity.ERROR,
    "a file written at import",
    happens="everything but /tmp is read-only: OSError, Read-only file system",
    write="a path below /tmp, or the file in the package",
)
def files(subject: Subject) -> Iterator[Found]:
    """See files and directories that are written, outside of /tmp."""
    yield from _seen(subject, "file", "the import writes {what}")


@rule(
    "WK305",
    Severity.WARNING,
    "a thread started at import",
    happens="it stands still in each freeze and wakes late; in a snapshot (SnapStart) it is cloned with all "
    "that it was doing",
    write="a resource that starts it and, after its yield, ends it",
)
def threads(subject: Subject) -> Iterator[Found]:
    """See threads that still run after the import; those of libraries are noted only."""
    for thread, starter in subject.watch.threads.items():
        severity = None if starter.own else Severity.NOTE
        yield Found(starter.place, f"the import starts the thread {thread.name}", severity)


never_ends = rule(
    "WK306",
    Severity.ERROR,
    "an import that never ends",
    happens="after 10 s Lambda gives up init and begins it anew inside the first call; the call times out",
    write="a deadline for what is waited for, in a resource instead of the import",
)(nothing)
"""Seen from outside: the process that imports is stuck."""


def _seen(subject: Subject, kind: str, text: str) -> Iterator[Found]:
    for sight in subject.watch.sights:
        if sight.kind == kind:
            yield Found(sight.place, text.format(what=sight.what))


def _importer(subject: Subject, module: str) -> Place:
    for source in subject.sources:
        if source.name == module:
            return source.place(0)
    for source in subject.sources:
        if line := source.import_line(module):
            return source.place(line)
    return Place()
