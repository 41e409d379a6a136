"""What the commands that run a function have in common: its options, its signals, its complaints."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from warmkit.local.needs import require

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from warmkit.local.options import Options

    F = TypeVar("F", bound=Callable[..., Any])

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def function_options(command: F) -> F:
    """Add the handler and the options that say how it is run."""
    parts: list[Callable[[F], F]] = [
        click.argument("handler", callback=_checked_handler),
        click.option(
            "--runtime",
            type=click.Choice(["warmkit", "aws"]),
            default="warmkit",
            show_default=True,
            help="What serves it: warmkit's runtime, or AWS's own, unmodified.",
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(0, min_open=True),
            default=3.0,
            show_default=True,
            help="Seconds for an invocation.",
        ),
        click.option(
            "--memory",
            type=click.IntRange(128, 10_240),
            default=128,
            show_default=True,
            help="MB; told to the function, not enforced.",
        ),
        click.option("--name", default="function", show_default=True, help="The function's name."),
        click.option(
            "--env",
            "variables",
            metavar="NAME=VALUE",
            multiple=True,
            callback=_pairs,
            help="An environment variable; may be repeated.",
        ),
        click.option(
            "--task-root",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            default=".",
            help="The directory with the code.  [default: the current one]",
        ),
        click.option(
            "--extension",
            "extensions",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            multiple=True,
            help="An external extension; may be repeated.",
        ),
        click.option(
            "--limit",
            type=click.IntRange(1),
            default=100,
            show_default=True,
            help="How many environments there may be.",
        ),
        click.option(
            "--concurrency",
            type=click.IntRange(1),
            default=1,
            show_default=True,
            help="Invocations that an environment serves at once. More than 1 means Lambda Managed Instances, which do not freeze.",
        ),
        click.option(
            "--snap-start",
            "initialization",
            flag_value="snap-start",
            default="on-demand",
            help="Restore environments as SnapStart does, as near as processes allow.",
        ),
        click.option(
            "--freeze/--no-freeze",
            default=True,
            help="Whether idle environments stand still.  [default: freeze]",
        ),
    ]
    for part in reversed(parts):
        command = part(command)
    return command


def options_of(given: dict[str, Any]) -> Options:
    """Take the options of `function_options` out of what click gave, and return them."""
    if given["runtime"] == "aws":
        require("awslambdaric", what="awslambdaric")
    options: Options = {
        "runtime": given.pop("runtime"),
        "timeout": given.pop("timeout"),
        "memory": given.pop("memory"),
        "name": given.pop("name"),
        "env": given.pop("variables"),
        "task_root": given.pop("task_root"),
        "extensions": tuple(path.resolve() for path in given.pop("extensions")),
        "limit": given.pop("limit"),
        "concurrency": given.pop("concurrency"),
        "freeze": given.pop("freeze"),
        "initialization": given.pop("initialization"),
    }
    return options


def run(work: Coroutine[Any, Any, int]) -> NoReturn:
    """Run until the work is done or a signal comes, and exit with its status."""
    try:
        status = asyncio.run(_until_signalled(work))
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    sys.stdout.flush()
    sys.exit(status)


async def _until_signalled(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.ensure_future(work)
    came: list[int] = []

    def end(number: signal.Signals) -> None:
        came.append(number)
        task.cancel()

    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, end, number)
    try:
        return await task
    except asyncio.CancelledError:
        return 128 + came[0] if came else 1


def _checked_handler(context: click.Context, parameter: click.Parameter, handler: str) -> str:
    module, dot, name = handler.rpartition(".")
    if not (module and dot and name):
        message = f"{handler!r} names no function. Write: module.function, as in app.handler"
        raise click.BadParameter(message)
    return handler


def _pairs(
    context: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            message = f"{pair!r} has no value. Write: --env NAME=VALUE"
            raise click.BadParameter(message)
    return dict(pair.split("=", 1) for pair in pairs)
