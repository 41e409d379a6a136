"""Fills the report's page."""

import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from benchmarks.harness.answer import Results, shown
from benchmarks.harness.report.plot import draw
from benchmarks.harness.words import cells, number

HERE = Path(__file__).parent


def write_report(results: Results, path: Path) -> None:
    path.write_text(render(results))


def render(results: Results) -> str:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "number": number,
        "cells": cells,
        "shown": shown,
        "prose": _prose,
        "code": _code,
    }
    environment.filters.update(filters)
    sections: dict[str, list[Any]] = {}
    for question in results.questions:
        sections.setdefault(question.section, []).append(question)
    return environment.get_template("page.html").render(
        results=results,
        sections=sections,
        closing=[
            (question, finding)
            for question in results.questions
            if question.answer
            for finding in question.answer.findings
            if finding.closing
        ],
        plot=lambda comparison: Markup(draw(comparison)),
        style=Markup((HERE / "style.css").read_text()),
        digest=digest(results),
    )


def digest(results: Results) -> str:
    """Returns what names these results: a report of others is another one."""
    return hashlib.sha256(msgspec.json.encode(results)).hexdigest()


def _prose(text: str) -> list[Markup]:
    return [_code(" ".join(part.split())) for part in text.split("\n\n") if part.strip()]


def _code(text: str) -> Markup:
    """Returns what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
