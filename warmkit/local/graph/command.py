"""The command line of `warmkit graph`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from warmkit.local.needs import CANNOT_RUN

if TYPE_CHECKING:
    from warmkit import WarmHandler
    from warmkit.local.target import Target


@click.command()
@click.argument("handler")
@click.option("--mermaid", "shape", flag_value="mermaid", help="Print a Mermaid flowchart.")
@click.option("--json", "shape", flag_value="json", help="Print JSON, for programs.")
def graph(handler: str, shape: str | None) -> None:
    """Draw the resources of HANDLER, such as app.handler.

    Imports its module, and starts nothing.
    """
    from warmkit.local.target import TargetError, find

    try:
        target = find(handler)
        found = _warm(target)
    except TargetError as error:
        click.echo(str(error), err=True)
        sys.exit(CANNOT_RUN)
    click.echo(_drawn(target.name, found, shape), nl=shape != "mermaid")


def _warm(target: Target) -> WarmHandler[object]:
    from warmkit.local.target import TargetError, warm_handler_in

    found = warm_handler_in(target.handler)
    if found is None:
        kind = type(target.handler).__name__
        message = (
            f"{target.name} is a {kind}, not a handler of warmkit's.\n"
            "  Write: @warm_handler above its def."
        )
        raise TargetError(message)
    return found


def _drawn(name: str, handler: WarmHandler[object], shape: str | None) -> str:
    from warmkit.local.graph.picture import picture

    drawn = picture(name, handler)
    if shape == "mermaid":
        from warmkit.local.graph.mermaid import mermaid

        return mermaid(drawn)
    if shape == "json":
        from warmkit.local.graph.json import as_json

        return as_json(drawn)
    from warmkit.local.graph.text import ASCII, LINES, text

    encoding = (sys.stdout.encoding or "ascii").lower()
    return text(drawn, strokes=LINES if encoding.startswith("utf") else ASCII)
