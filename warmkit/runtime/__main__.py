"""`python -m warmkit.runtime module.handler`: the process of an execution environment, from its start to its end."""

from warmkit.runtime import collector

collector.rest()  # before anything else is imported

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NoReturn

from warmkit.environment import default_environment
from warmkit.hosts.loop import PersistentLoop, persistent_loop
from warmkit.hosts.platform import concurrency
from warmkit.runtime.alone import Turns
from warmkit.runtime.api import ApiGoneError, RuntimeApi
from warmkit.runtime.ending import FINISH, EndedError, Ending
from warmkit.runtime.extension import register
from warmkit.runtime.failure import failure_of
from warmkit.runtime.invocation import streams
from warmkit.runtime.lines import BlockingLine, LoopLine, at_once
from warmkit.runtime.load import load
from warmkit.runtime.logs import Log, set_up

_log = logging.getLogger("warmkit")

CLOSE = 0.2
"""Seconds for all resources to close. Lambda grants 0.3 or 0.5 s between SIGTERM and SIGKILL."""


def main(arguments: list[str]) -> NoReturn:
    """Serves the handler that the arguments or `_HANDLER` name, and ends the process."""
    address = os.environ.get("AWS_LAMBDA_RUNTIME_API", "")
    name = arguments[1] if len(arguments) > 1 else os.environ.get("_HANDLER", "")
    if not address or not name:
        sys.exit(
            "warmkit.runtime is started by AWS Lambda, or by its emulator: AWS_LAMBDA_RUNTIME_API says where it is.\n"
            "  Write: python -m warmkit.runtime module.handler"
        )
    task_root = os.environ.get("LAMBDA_TASK_ROOT", "")
    if task_root and task_root not in sys.path:
        sys.path.insert(0, task_root)
    ending = Ending()
    ending.listen()
    log = set_up()
    host = persistent_loop()
    try:
        status = _live(address, name, log, host, ending)
    except EndedError:
        status = 0
    ending.over()
    try:
        host.run(default_environment(host.loop).aclose(CLOSE))
    except Exception as error:  # noqa: BLE001  whatever did not close, the process ends
        _log.error("the environment did not close in order: %s", error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # worker threads that still run a handler must not hold the process


def _live(address: str, name: str, log: Log, host: PersistentLoop, ending: Ending) -> int:
    """Loads and serves; returns the exit status."""
    api = RuntimeApi(BlockingLine(address))
    try:
        handler = load(name)
    except EndedError:
        raise
    except BaseException as error:  # noqa: BLE001  the platform is told
        failure = failure_of(error)
        log.tell(failure)
        try:
            at_once(api.fail_init(failure))
        except ApiGoneError as gone:  # it ends in any case
            _log.error("%s", gone)
        return 1
    collector.wake()
    line = BlockingLine(address)  # stays open: the extension's
    at_once(register(line))
    try:
        if concurrency() == 1 and not streams(handler):
            Turns(handler, api, log.tell, host, ending).run()
        else:
            host.step(partial(_drive, host.loop, _serve_together(address, handler, log)))
    except ApiGoneError as gone:
        _log.error("%s", gone)
        return 1
    return 0


def _drive(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    """Runs the loop to the end of the work, whatever exits a task of somebody's asks for: others are being served."""
    serving = loop.create_task(work)
    while not serving.done():
        try:
            loop.run_until_complete(serving)
        except (SystemExit, KeyboardInterrupt) as asked:
            _log.error("a task asked for the end of the process, in vain: %r", asked)
    serving.result()


async def _serve_together(address: str, handler: Callable[..., Any], log: Log) -> None:
    from warmkit.runtime.together import (
        Pollers,  # where one at a time is served, nothing of it is needed
    )

    pollers = Pollers(
        handler, [RuntimeApi(LoopLine(address)) for _ in range(concurrency())], log.tell
    )
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    serving = asyncio.create_task(pollers.run())
    ending = asyncio.create_task(ended.wait())
    await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
    pollers.stop()
    await asyncio.wait({serving}, timeout=FINISH)
    pollers.cut_short()  # so that what they hold is rolled back before it is closed
    await asyncio.wait({serving}, timeout=FINISH)
    if serving.done():
        serving.result()


if __name__ == "__main__":
    main(sys.argv)
