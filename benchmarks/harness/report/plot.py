"""Draws a comparison: of each row how its samples are distributed, what its processes count as, and the median of that.

Colours are names of the page's style, so that the drawing follows a dark page.
"""

import io
import statistics
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from scipy.stats import gaussian_kde

from benchmarks.harness import figures
from benchmarks.harness.answer import Comparison, Row, shown

mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "warmkit", "font.size": 9})

INK, FAINT, OURS, THEIRS, NOISE = "#010101", "#020202", "#030303", "#040404", "#050505"
NAMES = {INK: "ink", FAINT: "faint", OURS: "ours", THEIRS: "theirs", NOISE: "noise"}
WIDE = 20  # times from the smallest to the largest sample, from where on the axis is logarithmic
ENOUGH = 8  # samples of which a distribution is drawn
PLACES = 64  # of a distribution
DRAWN = 2000  # samples at most, of a row
KEPT = (0.01, 0.98)  # quantiles: what lies outside is in the table's p99


def draw(comparison: Comparison) -> str:
    """Returns an SVG element."""
    rows = comparison.rows[::-1]  # the first stands on top
    figure = Figure(figsize=(7.2, 0.5 + 0.42 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    ends = np.quantile(np.concatenate([row.samples for row in rows]), KEPT)
    logarithmic = bool(ends[0] > 0 and ends[1] / ends[0] > WIDE)
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_locator(NullLocator())
    for height, row in enumerate(rows):
        _draw_row(axes, height, row, _colour(comparison, row), logarithmic=logarithmic)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(-0.4, len(rows) - 0.2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_xlabel(shown(comparison.unit))
    axes.tick_params(length=0, labelcolor=INK)
    axes.xaxis.label.set_color(INK)
    axes.spines[:].set_visible(False)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    return _as_element(figure)


def _colour(comparison: Comparison, row: Row) -> str:
    if row.name == comparison.again:
        return NOISE
    return OURS if row.name.startswith("warmkit") else THEIRS


def _draw_row(axes: Axes, height: int, row: Row, colour: str, *, logarithmic: bool) -> None:
    centres = figures.centres(row)
    if len(row.samples) >= ENOUGH and len(set(row.samples)) > 1:
        _draw_distribution(axes, height, row.samples, colour, logarithmic=logarithmic)
    axes.plot(centres, [height] * len(centres), "o", color=colour, alpha=0.45, markersize=3)
    axes.plot([statistics.median(centres)], [height], "|", color=INK, markersize=13)


def _draw_distribution(
    axes: Axes, height: int, samples: list[float], colour: str, *, logarithmic: bool
) -> None:
    low, high = np.quantile(samples, KEPT)
    kept = np.array([value for value in samples if low <= value <= high])
    kept = kept[:: -(-len(kept) // DRAWN)]
    values = np.log10(kept) if logarithmic else kept
    if np.ptp(values) == 0:
        return
    places = np.linspace(values.min(), values.max(), PLACES)
    density = gaussian_kde(values, _bandwidth(values))(places)
    at = 10**places if logarithmic else places
    axes.fill_between(
        at, height, height + 0.62 * density / density.max(), color=colour, alpha=0.55, linewidth=0
    )


def _bandwidth(values: Any) -> float:
    """Returns Silverman's, of the quartiles: a few stragglers do not make everything broad. In standard deviations."""
    low, high = np.quantile(values, (0.25, 0.75))
    spread = min(float(np.std(values)), (high - low) / 1.34) or float(np.std(values))
    return float(0.9 * spread * len(values) ** -0.2 / np.std(values))


def _as_element(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour, name in NAMES.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg
