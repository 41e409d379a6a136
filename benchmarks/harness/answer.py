"""What a question's answer is made of: comparisons with every sample, and findings, each with what is wanted of it.

These are the shapes of the results file. Nothing here measures or computes.
"""

from typing import Literal

import msgspec


class Estimate(msgspec.Struct, frozen=True):
    """A figure and its 95 % interval. A figure that is counted, and not sampled, is its own interval."""

    value: float
    low: float
    high: float


def shown(unit: str) -> str:
    """Returns a unit as people write it."""
    return "µs" if unit == "us" else unit


def counted(value: float) -> Estimate:
    return Estimate(value, value, value)


class Row(msgspec.Struct, frozen=True):
    """One contender.

    Attributes:
        name: As the table calls it.
        processes: Every sample, apart by what was made afresh for it (a process, an environment, a turn): that is
            what is drawn from for the intervals, as samples of one process have its luck in common.
        peer: It is somebody else's work, so that the table says where it wins.
        mean: A process counts as the mean of its samples, and what it is compared with as well: where they are of two kinds,
            as when every second one collects garbage, the median is of the one or of the other as chance will have it.
    """

    name: str
    processes: list[list[float]]
    peer: bool = False
    mean: bool = False

    @property
    def samples(self) -> list[float]:
        return [sample for process in self.processes for sample in process]


class Comparison(msgspec.Struct, frozen=True):
    """Contenders that took turns in one run, so that their n-th processes are pairs.

    Attributes:
        name: One word for references from the docs; unique in its answer.
        title: What each sample is of.
        unit: Of each sample.
        rows: The contenders.
        base: The row that the others are divided by, if that says anything.
        again: The row that is the same contender as the base: what they differ by is noise.
        better: Whether less or more of it is wanted.
    """

    name: str
    title: str
    unit: str
    rows: list[Row]
    base: str | None = None
    again: str | None = None
    better: Literal["less", "more"] = "less"

    def row(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)


class Finding(msgspec.Struct, frozen=True):
    """One figure that is worth a sentence.

    Attributes:
        name: One word for references from the docs; unique in its answer.
        says: The sentence, with `{}` in the figure's place.
        estimate: The figure.
        unit: Behind the figure; none for a ratio.
        digits: How many stand behind the point.
        at_most: What is wanted of it, if something is.
        at_least: Likewise.
        closing: It stands in the README's table.
    """

    name: str
    says: str
    estimate: Estimate
    unit: str = ""
    digits: int = 2
    at_most: float | None = None
    at_least: float | None = None
    closing: bool = False

    def held(self, *, rough: bool = False) -> bool:
        """Returns whether it is what is wanted; of a rough figure, whether its interval reaches that far."""
        low, high = self.estimate.value, self.estimate.value
        if rough:
            low, high = self.estimate.low, self.estimate.high
        return (self.at_most is None or low <= self.at_most) and (
            self.at_least is None or high >= self.at_least
        )

    @property
    def wanted(self) -> str:
        if self.at_most is not None:
            return f"at most {self.at_most:.3g}{self._behind}"
        return "" if self.at_least is None else f"at least {self.at_least:.3g}{self._behind}"

    @property
    def figure(self) -> str:
        return f"{self.estimate.value:,.{self.digits}f}{self._behind}"

    @property
    def interval(self) -> str:
        low, high = (f"{end:,.{self.digits}f}" for end in (self.estimate.low, self.estimate.high))
        return "" if low == high else f"{low} to {high}"

    @property
    def sentence(self) -> str:
        return self.says.format(self.figure)

    @property
    def _behind(self) -> str:
        return f" {shown(self.unit)}" if self.unit else ""


class Count(msgspec.Struct, frozen=True):
    """A table of what was counted: no samples, no intervals.

    Attributes:
        title: What is counted.
        columns: Their heads, without the first.
        rows: Each line's name and its cells.
    """

    title: str
    columns: list[str]
    rows: dict[str, list[float | str]]


class Answer(msgspec.Struct, frozen=True):
    """All that a question returns."""

    comparisons: list[Comparison] = []
    findings: list[Finding] = []
    counts: list[Count] = []


class Summary(msgspec.Struct, frozen=True):
    """A row in figures.

    Attributes:
        median: Of what the processes count as.
        p99: Of all samples.
        ratio: To the base, if there is one.
        wins: It is a peer's, and beats the base by more than chance.
    """

    median: Estimate
    p99: Estimate
    ratio: Estimate | None = None
    wins: bool = False


class Answered(msgspec.Struct, frozen=True):
    """A question with its answer, or with what kept it from one.

    Attributes:
        name: The question's module.
        section: Under which heading it stands.
        question: The first line of its file.
        method: The rest of what its file says about itself.
        not_shown: What the answer does not show.
        begun: When it was asked, in UTC.
        commit: Of which code.
        quick: In a hurry, so that its figures are rough.
        seconds: How long it took.
        answer: None if it failed.
        failure: The error's text, if it did.
        summaries: Each comparison's rows in figures, by name and name.
    """

    name: str
    section: str
    question: str
    method: str
    not_shown: str
    begun: str
    commit: str
    quick: bool
    seconds: float
    answer: Answer | None = None
    failure: str | None = None
    summaries: dict[str, dict[str, Summary]] = {}

    @property
    def held(self) -> bool:
        return self.answer is not None and not self.missed

    @property
    def missed(self) -> list[Finding]:
        """The findings that are not what is wanted."""
        findings = self.answer.findings if self.answer else []
        return [finding for finding in findings if not finding.held(rough=self.quick)]


class Results(msgspec.Struct, frozen=True):
    """A run of the suite.

    Attributes:
        machine: The machine's facts.
        questions: What was asked, in the suite's order.
    """

    machine: dict[str, str]
    questions: list[Answered]

    @property
    def held(self) -> bool:
        return all(question.held for question in self.questions)

    def question(self, name: str) -> Answered:
        return next(item for item in self.questions if item.name == name)
