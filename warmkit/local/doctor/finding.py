"""What the doctor finds, as values. Nothing here looks for it, or prints it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple


class Severity(StrEnum):
    """How much it matters."""

    ERROR = "error"
    """It fails on Lambda."""
    WARNING = "warning"
    """It fails or costs under circumstances that Lambda brings about."""
    NOTE = "note"
    """Good to know; no reason for an exit status."""


class Place(NamedTuple):
    """Where something is written.

    Attributes:
        file: The path; relative where it is below the working directory; empty: unknown.
        line: From 1; 0: unknown.
    """

    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Found(NamedTuple):
    """What a rule saw. The rule knows the rest, unless it says otherwise here.

    Attributes:
        place: Where.
        what: What is there, in a sentence.
        severity: Not the rule's.
        happens: Not the rule's.
        write: Not the rule's.
    """

    place: Place
    what: str
    severity: Severity | None = None
    happens: str = ""
    write: str = ""


class Finding(NamedTuple):
    """One finding, whole.

    Attributes:
        code: Its rule's.
        severity: How much it matters.
        place: Where.
        what: What is there.
        happens: What comes of it on Lambda.
        write: What to write instead.
    """

    code: str
    severity: Severity
    place: Place
    what: str
    happens: str
    write: str


class Cost(NamedTuple):
    """What one of the user's imports costs.

    Attributes:
        module: The top-level module; for the user's own ones the whole name.
        ms: Milliseconds, with all that it imports for the first time.
        own: It is one of the user's own modules, without what that imports.
    """

    module: str
    ms: float
    own: bool


class Report(NamedTuple):
    """What an examination came to.

    Attributes:
        handler: Its name.
        findings: The worst first.
        costs: Of the imports, the dearest first.
        calls: How often the handler was called.
    """

    handler: str
    findings: tuple[Finding, ...]
    costs: tuple[Cost, ...] = ()
    calls: int = 0

    @property
    def alarming(self) -> bool:
        """Whether something is worse than a note."""
        return any(finding.severity is not Severity.NOTE for finding in self.findings)


def finding_from(facts: list[Any]) -> Finding:
    """Return the finding that JSON made a list of."""
    code, severity, place, *texts = facts
    return Finding(code, Severity(severity), Place(*place), *texts)


def sort_key(finding: Finding) -> tuple[int, str, Place]:
    """Order findings: the worst first, then by code and place."""
    return (list(Severity).index(finding.severity), finding.code, finding.place)
