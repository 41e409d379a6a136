"""What came of the rules: values, and the text in which a failure teaches."""

import textwrap
from enum import StrEnum
from typing import NamedTuple


class Standing(StrEnum):
    """What came of one rule."""

    OBEYED = "obeyed"
    BROKEN = "broken"
    NOT_APPLICABLE = "not applicable"


class Outcome(NamedTuple):
    """What came of one rule.

    Attributes:
        rule: Its name.
        standing: Whether it was obeyed.
        expected: What it asks for.
        came: What happened instead; why it does not apply; empty if it was obeyed.
        write: What to write instead, if it was broken.
        error: What was raised, if something was.
    """

    rule: str
    standing: Standing
    expected: str
    came: str = ""
    write: str = ""
    error: BaseException | None = None


class Report(NamedTuple):
    """What came of all rules. Its text is a table.

    Attributes:
        resource: The name of the resource.
        outcomes: One for each rule, in order.
    """

    resource: str
    outcomes: tuple[Outcome, ...]

    def of(self, standing: Standing) -> tuple[Outcome, ...]:
        """Returns the outcomes of this standing.

        Args:
            standing: Which.
        """
        return tuple(outcome for outcome in self.outcomes if outcome.standing is standing)

    def __str__(self) -> str:
        width = max((len(outcome.rule) for outcome in self.outcomes), default=0)
        lines = [f"  {outcome.rule:<{width}}  {_in_short(outcome)}" for outcome in self.outcomes]
        return "\n".join([f"resource {self.resource!r}", *lines])


class ConformanceError(AssertionError):
    """A resource breaks rules.

    Attributes:
        report: What came of all rules that were tried.
    """

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        broken, tried = self.report.of(Standing.BROKEN), self.report.outcomes
        kept = f"{len(broken)} of the {len(tried)} rules" if len(tried) > 1 else "a rule"
        parts = [f"resource {self.report.resource!r} breaks {kept}", *map(_at_length, broken)]
        return "\n\n".join(parts)


def told(error: BaseException) -> str:
    """Returns an error's kind and text."""
    return f"{type(error).__name__}: {error}"


def _in_short(outcome: Outcome) -> str:
    reason = f": {outcome.came}" if outcome.standing is Standing.NOT_APPLICABLE else ""
    return f"{outcome.standing}{reason}"


def _at_length(outcome: Outcome) -> str:
    said = {"expected": outcome.expected, "came": outcome.came, "write": outcome.write}
    lines = [
        f"  {label + ':':<10}{textwrap.indent(text, ' ' * 12).lstrip()}"
        for label, text in said.items()
    ]
    return "\n".join([outcome.rule, *lines])
