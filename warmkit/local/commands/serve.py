"""The command line of `warmkit serve`: its options, and what it prints."""

from __future__ import annotations

import asyncio
import errno
import sys
from typing import TYPE_CHECKING, Any

import click

from warmkit.local.commands.common import function_options, options_of, run
from warmkit.local.needs import require

if TYPE_CHECKING:
    from warmkit.local.local_lambda import LocalLambda
    from warmkit.local.options import Options

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def _delays(context: click.Context, parameter: click.Parameter, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",") if part)
    except ValueError as error:
        message = f"{text!r} is no list of seconds, as in 60,120"
        raise click.BadParameter(message) from error


@click.command()
@function_options
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=9000, show_default=True, help="0 for any free one.")  # fmt: skip
@click.option("--idle", "idle_time", type=click.FloatRange(0), default=300.0, show_default=True, help="Seconds after which an idle environment ends.")  # fmt: skip
@click.option("--provisioned", type=click.IntRange(0), default=0, help="How many environments are made in advance.")  # fmt: skip
@click.option("--retry-delays", callback=_delays, default="60,120", show_default=True, help="Seconds before an asynchronous invocation that failed is tried again.")  # fmt: skip
@click.option("--reload", "reloads", is_flag=True, help="Replace the environments when a source file changes.")  # fmt: skip
def serve(handler: str, host: str, port: int, *, reloads: bool, **given: Any) -> None:
    """Serve a function as Lambda does: to AWS's clients, and as a URL.

    HANDLER is module.function, as in app.handler. Ctrl-C ends it, with everything that it started.
    """
    require("uvicorn", "httptools", what="warmkit[local]")
    delays = given.pop("retry_delays")
    options = options_of(given)
    if given["provisioned"] and options.get("initialization") == "snap-start":
        message = "--snap-start and --provisioned exclude each other, as on Lambda."
        raise click.UsageError(message)
    options |= {"idle_time": given["idle_time"], "provisioned": given["provisioned"]}
    run(_serve(handler, options, host, port, delays, reloads=reloads))


async def _serve(
    handler: str,
    options: Options,
    host: str,
    port: int,
    delays: tuple[float, ...],
    *,
    reloads: bool,
) -> int:
    from warmkit.local import http
    from warmkit.local.invoke_api.app import InvokeApi
    from warmkit.local.local_lambda import LocalLambda

    options["say"] = _say
    async with LocalLambda(handler, **options) as function:
        allowed = [] if host in _LOOPBACK else ["*"]
        api = InvokeApi(function, retry_delays=delays, note=_note, hosts=allowed)
        try:
            server = await http.serve(api, host, port)
        except OSError as error:
            raise _not_served(host, port, error) from error
        try:
            _introduce(function, server.address)
            await _wait(function, reloads=reloads)
        finally:
            await api.aclose()
            await server.aclose()
    return 0


async def _wait(function: LocalLambda, *, reloads: bool) -> None:
    if not reloads:
        await asyncio.Event().wait()
    from warmkit.local.reload import changes

    async for changed in changes(function.function.task_root):
        _note(f"{', '.join(changed)} changed: the environments are replaced")
        function.fleet.replace_all()
        await function.fleet.start()


def _introduce(function: LocalLambda, address: str) -> None:
    name = function.function.name
    _note(f"{function.function.handler} is served at http://{address}/")
    _note(f"aws lambda invoke --endpoint-url http://{address} --function-name {name} out.json")


def _not_served(host: str, port: int, error: OSError) -> click.ClickException:
    if error.errno == errno.EADDRINUSE:
        return click.ClickException(f"port {port} is in use. Choose another: --port, 0 for any.")
    return click.ClickException(f"cannot listen on {host}, port {port}: {error}")


def _say(environment: str, line: str) -> None:
    for part in line.replace("\r", "\n").split("\n"):
        sys.stdout.write(f"{environment}  {part}\n")
    sys.stdout.flush()


def _note(text: str) -> None:
    click.echo(click.style(f"warmkit   {text}", bold=True))
