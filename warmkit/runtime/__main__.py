"""`python -m warmkit.runtime module.handler`: the process of an execution environment, from its start to its end."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from warmkit.environment import default_environment
from warmkit.hosts.loop import persistent_loop
from warmkit.hosts.platform import concurrency
from warmkit.runtime.api import ApiGoneError, RuntimeApi
from warmkit.runtime.extension import QuietExtension
from warmkit.runtime.failure import failure_of
from warmkit.runtime.load import load
from warmkit.runtime.logs import Log, set_up
from warmkit.runtime.serve import Server

FINISH = 0.1
"""Seconds for invocations under way to finish, once SIGTERM has come."""

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
    signal.signal(signal.SIGTERM, _leave)  # in the init phase
    log = set_up()
    status = _live(address, name, log)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # worker threads that still run a handler must not hold the process


def _leave(*_: object) -> NoReturn:
    sys.exit(0)


def _live(address: str, name: str, log: Log) -> int:
    host = persistent_loop()
    try:
        handler = load(name)
    except SystemExit as asked:
        if asked.code in (0, None):
            return 0
        return host.run(_report(address, asked, log))
    except BaseException as error:  # noqa: BLE001  the platform is told
        return host.run(_report(address, error, log))
    return host.run(_serve(address, handler, log))


async def _report(address: str, error: BaseException, log: Log) -> int:
    failure = failure_of(error)
    log.tell(failure)
    await RuntimeApi(address).fail_init(failure)
    return 1


async def _serve(address: str, handler: Callable[..., Any], log: Log) -> int:
    apis = [RuntimeApi(address) for _ in range(concurrency())]
    server = Server(handler, apis, log.tell)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    extension = QuietExtension(address)
    await extension.register()
    serving = asyncio.create_task(server.run())
    ending = asyncio.create_task(ended.wait())
    await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
    server.stop()
    await asyncio.wait({serving}, timeout=FINISH)
    await default_environment(loop).aclose(CLOSE)
    try:
        return 0 if not serving.done() else serving.result() or 0
    except ApiGoneError as error:
        log.tell(failure_of(error))
        return 1


if __name__ == "__main__":
    main(sys.argv)
