"""Examines a handler: imports its module, looks at what that did, calls it if there is an event.

In the very process in which it is called: `child` is the one for strangers' code.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from warmkit.local.doctor.calls import make_calls
from warmkit.local.doctor.costs import SLOW_MS, measured
from warmkit.local.doctor.files import CALL, IMPORT, LOOK
from warmkit.local.doctor.finding import Report, sort_key
from warmkit.local.doctor.held import held_by
from warmkit.local.doctor.rules import RULES, code
from warmkit.local.doctor.source import own_sources
from warmkit.local.doctor.subject import Subject
from warmkit.local.doctor.watch import Watch
from warmkit.local.target import find

if TYPE_CHECKING:
    from warmkit.local.doctor.finding import Cost
    from warmkit.local.target import Target

PATIENCE = 60.0
"""Seconds for what is ours: reading text, walking objects."""


class Order(NamedTuple):
    """What is to be examined, and how.

    Attributes:
        handler: "module.function".
        event: What to call it with, as JSON; None: it is not called.
        times: How often it is called.
        concurrency: How many invocations an environment serves at once.
        slow_ms: From how many milliseconds on an import is slow; None: nothing is measured.
        import_limit: Seconds for the import.
        call_limit: Seconds for each call.
    """

    handler: str
    event: str | None = None
    times: int = 3
    concurrency: int = 1
    slow_ms: float | None = SLOW_MS
    import_limit: float = 10.0
    call_limit: float = 30.0


class Stages(Protocol):
    """Is told how far the examination has come, and for how long the stage may last."""

    def begin(self, stage: str, seconds: float) -> None:
        """A stage begins."""
        ...

    def known(self, report: Report) -> None:
        """So much is known by now, whatever happens next."""
        ...


def examine(order: Order, stages: Stages) -> Report:
    """Return what is found.

    Args:
        order: What to do.
        stages: Is told of each stage.

    Raises:
        TargetError: There is no such handler, or its module cannot be imported.
    """
    stages.begin(IMPORT, order.import_limit)
    watch = Watch()
    with watch:
        target = find(order.handler)
    stages.begin(LOOK, 2 * order.import_limit + PATIENCE)
    subject = subject_of(order, target, watch)
    report = report_of(order, subject)
    if order.event is None or any(
        finding.code == code.bare_async.code for finding in report.findings
    ):
        return report
    stages.known(report)
    calls = make_calls(
        subject.target.handler,
        subject.sources,
        order.event,
        times=order.times,
        seconds=order.call_limit,
        begin=lambda number: stages.begin(f"{CALL}{number}", order.call_limit),
    )
    stages.begin(LOOK, PATIENCE)
    return report_of(order, replace(subject, calls=calls))


def subject_of(order: Order, target: Target, watch: Watch) -> Subject:
    """Gather what the rules may look at, calls excepted.

    Args:
        order: What to do.
        target: The handler, imported.
        watch: What the import did.
    """
    sources = own_sources(target.module)
    costs: tuple[Cost, ...] = ()
    if order.slow_ms is not None:
        names = {source.name for source in sources}
        name = target.module.__name__
        costs = measured(name, names, limit=order.import_limit, doubtful_ms=order.slow_ms)
    return Subject(
        target,
        sources,
        held_by(sources),
        watch,
        costs,
        concurrency=order.concurrency,
        slow_ms=order.slow_ms or 0.0,
    )


def report_of(order: Order, subject: Subject) -> Report:
    """Ask every rule.

    Args:
        order: What to do.
        subject: What to look at.
    """
    found = {finding for rule in RULES for finding in rule.findings(subject)}
    findings = tuple(sorted(found, key=sort_key))
    return Report(subject.target.name, findings, subject.costs, subject.calls.number)
