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

from warmkit.hosts.ending import EndedError, Ending
from warmkit.hosts.extension import register
from warmkit.hosts.loop import (
    PersistentLoop,
    cancel_what_runs,
    heard_by,
    persistent_loop,
)
from warmkit.hosts.platform import concurrency, initialization
from warmkit.runtime import paths
from warmkit.runtime.alone import Turns
from warmkit.runtime.api import ApiGoneError, RuntimeApi
from warmkit.runtime.failure import failure_of
from warmkit.runtime.kinds import streams
from warmkit.runtime.lines import BlockingLine, LoopLine, at_once
from warmkit.runtime.load import load
from warmkit.runtime.logs import Log, set_up

_log = logging.getLogger("warmkit")


def main(arguments: list[str]) -> NoReturn:
    """Serves the handler that the arguments or `_HANDLER` name, and ends the process."""
    address = os.environ.get("AWS_LAMBDA_RUNTIME_API", "")
    name = arguments[1] if len(arguments) > 1 else os.environ.get("_HANDLER", "")
    if not address or not name:
        sys.exit(
            "warmkit.runtime is started by AWS Lambda, or by its emulator: AWS_LAMBDA_RUNTIME_API says where it is.\n"
            "  Write: python -m warmkit.runtime module.handler"
        )
    paths.set_up()
    ending = Ending(_close_everything)
    ending.when_announced(cut=cancel_what_runs)
    ending.listen(signal.SIGTERM, signal.SIGINT)
    host = _persistent_loop()  # before asyncio may log that it is made
    ending.leave(_live(address, name, set_up(), host, ending))


def _persistent_loop() -> PersistentLoop:
    if concurrency() == 1:
        return persistent_loop()
    from warmkit.runtime.selector import loop_of_many

    return persistent_loop(loop_of_many)


def _close_everything(seconds: float) -> None:
    if "warmkit.environment" in sys.modules:  # else there is nothing to close
        from warmkit.hosts.serving import close_everything

        close_everything(seconds)


def _live(address: str, name: str, log: Log, host: PersistentLoop, ending: Ending) -> int:
    """Loads and serves; returns the exit status."""
    register(address)  # before the handler is loaded: what that starts must be closed, too
    api = RuntimeApi(BlockingLine(address))
    try:
        handler = load(name)
    except BaseException as error:  # noqa: BLE001  the platform is told
        failure = failure_of(error)
        log.tell(failure)
        try:
            at_once(api.fail_init(failure))
        except ApiGoneError as gone:  # it ends in any case
            _log.error("%s", gone)
        return 1
    collector.wake()
    if initialization() == "snap-start":
        from warmkit.runtime.restore import pass_snapshot

        status = pass_snapshot(api, log.tell)
        if status:
            return status
    try:
        if concurrency() == 1 and not streams(handler):
            Turns(handler, api, log.tell, host, ending).run()
        else:
            together = _serve_together(address, handler, log, ending)
            ending.during(host.step, partial(_drive, host.loop, together))
    except ApiGoneError as gone:
        _log.error("%s", gone)
        return 1
    return 0


def _drive(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    """Runs the loop to the end of the work, whatever end a task of somebody's asks for: others are being served."""
    serving = loop.create_task(work)
    while not serving.done():
        try:
            loop.run_until_complete(serving)
        except EndedError:
            pass  # what held the loop does so no longer
        except (SystemExit, KeyboardInterrupt) as asked:
            _log.error("a task asked for the end of the process, in vain: %r", asked)
        except RuntimeError:
            if serving.done():  # its own
                raise
            _log.error("a task stopped the event loop, in vain")
    serving.result()


async def _serve_together(
    address: str, handler: Callable[..., Any], log: Log, ending: Ending
) -> None:
    from warmkit.runtime.together import (
        Pollers,  # where one at a time is served, nothing of it is needed
    )

    pollers = Pollers(
        handler, [RuntimeApi(LoopLine(address)) for _ in range(concurrency())], log.tell
    )
    loop = asyncio.get_running_loop()
    # What is cut short is rolled back before what it holds is closed.
    ending.when_announced(
        stop=partial(heard_by, loop, pollers.stop), cut=partial(heard_by, loop, pollers.cut_short)
    )
    await pollers.run()


if __name__ == "__main__":
    main(sys.argv)
