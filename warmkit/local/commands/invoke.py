"""The command line of `warmkit invoke`: its options, and its exit status."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from warmkit.local.commands.common import function_options, options_of, run
from warmkit.local.needs import require
from warmkit.local.scenario import Invoke, ScenarioError, Step, from_options, read

if TYPE_CHECKING:
    from warmkit.local.options import Options


def _event(context: click.Context, parameter: click.Parameter, text: str) -> Any:
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        try:
            text = Path(text[1:]).read_text()
        except OSError as error:
            raise click.BadParameter(str(error)) from error
    try:
        return json.loads(text)
    except ValueError as error:
        message = f"it is no JSON: {error}"
        raise click.BadParameter(message) from error


@click.command()
@function_options
@click.option("--event", default="{}", callback=_event, help="JSON; @FILE for a file's, - for the standard input's.  [default: {}]")  # fmt: skip
@click.option("--times", type=click.IntRange(1), default=1, show_default=True, help="How often it is invoked.")  # fmt: skip
@click.option("--concurrent", type=click.IntRange(1), default=1, show_default=True, help="How many at once.")  # fmt: skip
@click.option("--gap", type=click.FloatRange(0), default=0.0, help="Seconds for which it is frozen between two invocations.")  # fmt: skip
@click.option("--cut", is_flag=True, help="Between two invocations, cut its TCP connections behind its back.")  # fmt: skip
@click.option("--kill", is_flag=True, help="Between two invocations, let its environments vanish.")
@click.option("--scenario", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A TOML file that says what happens, step by step.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
def invoke(handler: str, scenario: Path | None, *, as_json: bool, **given: Any) -> None:
    """Invoke a function in the local Lambda, and show what happens.

    HANDLER is module.function, as in app.handler. Exits with status 0 only if every invocation came to
    what was expected of it: a result, if a scenario does not say otherwise.
    """
    require("uvicorn", "httptools", what="warmkit[local]")
    options = options_of(given)
    try:
        steps = read(scenario) if scenario else from_options(**given)
    except ScenarioError as error:
        raise click.ClickException(str(error)) from error
    run(_invoke(handler, options, steps, as_json=as_json))


async def _invoke(handler: str, options: Options, steps: list[Step], *, as_json: bool) -> int:
    from warmkit.local.local_lambda import LocalLambda
    from warmkit.local.play import play
    from warmkit.local.timeline import JsonLines, Timeline

    count = sum(step.times for step in steps if isinstance(step, Invoke))
    stage = JsonLines() if as_json else Timeline(count)
    options |= {"say": stage.printed, "observe": stage.happened}
    try:
        async with LocalLambda(handler, **options) as function:
            played = await play(function, steps, stage)
    finally:
        stage.close()
    stage.conclude(played)
    return 0 if all(one.expected for one in played) else 1
