"""The command line of `warmkit doctor`: its options and its exit status."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from warmkit.local.doctor.costs import SLOW_MS
from warmkit.local.needs import CANNOT_RUN

FEWEST_CALLS = 3
"""With fewer nothing can be said to grow: a cache is filled by the first."""


class Event(click.ParamType[str]):
    """JSON, a file that holds it, or - for standard input."""

    name = "json|file|-"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the JSON text."""
        try:
            text = _text(value)
            json.loads(text)
        except (OSError, ValueError) as error:
            self.fail(f"neither JSON nor a file that holds it: {error}", param, ctx)
        return text


def _text(value: str) -> str:
    if value == "-":
        return sys.stdin.read()
    looks_like_json = value.lstrip()[:1] in ("{", "[", '"')
    if not looks_like_json and Path(value).is_file():
        return Path(value).read_text(encoding="utf-8")
    return value


@click.command()
@click.argument("handler")
@click.option("--event", type=Event(), help="Call the handler with this event, a few times.")
@click.option(
    "--times",
    type=click.IntRange(FEWEST_CALLS),
    default=FEWEST_CALLS,
    show_default=True,
    help="How often it is called.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    default=lambda: os.environ.get("AWS_LAMBDA_MAX_CONCURRENCY", "1"),
    show_default="AWS_LAMBDA_MAX_CONCURRENCY, or 1",
    help="How many invocations an environment serves at once.",
)
@click.option(
    "--slow-import",
    type=click.FloatRange(min=0, min_open=True),
    default=SLOW_MS,
    show_default=True,
    metavar="MS",
    help="From how many milliseconds on an import is a finding.",
)
@click.option(
    "--init-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Lambda's limit for init.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="The function's timeout, for each call.",
)
@click.option("--json", "for_programs", is_flag=True, help="Print JSON, for programs.")
def doctor(  # noqa: PLR0917 - click passes them by name
    handler: str,
    event: str | None,
    times: int,
    concurrency: int,
    slow_import: float,
    init_limit: float,
    timeout: float,
    *,
    for_programs: bool,
) -> None:
    """Tell what of HANDLER, such as app.handler, will bite on Lambda.

    Imports its module in a process of its own; the import does what it always does. Exits with status 0
    if nothing is worse than a note, with 1 if something is, with 2 if it cannot be examined.
    """
    from warmkit.local.doctor.examine import Order
    from warmkit.local.doctor.run import run
    from warmkit.local.doctor.screen import as_json, show
    from warmkit.local.target import TargetError

    order = Order(handler, event, times, concurrency, slow_import, init_limit, timeout)
    try:
        report = run(order)
    except TargetError as error:
        click.echo(str(error), err=True)
        sys.exit(CANNOT_RUN)
    if for_programs:
        click.echo(as_json(report))
    else:
        show(report)
    sys.exit(report.alarming)
