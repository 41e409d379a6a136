"""What a rule is: a code, what it says, and a function that looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias

from warmkit.local.doctor.finding import Finding, Found, Severity
from warmkit.local.doctor.subject import Subject

Look: TypeAlias = Callable[[Subject], Iterable[Found]]


class Rule(NamedTuple):
    """One rule.

    Attributes:
        code: Stable, for programs.
        severity: How much it matters, as a rule.
        title: What it is about, in a few words.
        happens: What comes of it on Lambda.
        write: What to write instead.
        look: Yields what it sees.
    """

    code: str
    severity: Severity
    title: str
    happens: str
    write: str
    look: Look

    def findings(self, subject: Subject) -> Iterator[Finding]:
        """Yield what it finds in a subject."""
        for found in self.look(subject):
            yield self.finding(found)

    def finding(self, found: Found) -> Finding:
        """Return the finding that something seen makes."""
        return Finding(
            self.code,
            found.severity or self.severity,
            found.place,
            found.what,
            found.happens or self.happens,
            found.write or self.write,
        )


def rule(
    code: str, severity: Severity, title: str, *, happens: str, write: str
) -> Callable[[Look], Rule]:
    """Decorator: makes a rule of the function that looks. The arguments are a `Rule`'s."""
    return lambda look: Rule(code, severity, title, happens, write, look)


def nothing(subject: Subject) -> Iterable[Found]:
    """See nothing: for what only the process outside can see."""
    return ()
