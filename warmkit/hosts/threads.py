"""Worker threads for plain functions where a loop runs: not the loop's own, which it needs to look up host names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from warmkit.clock import outlast
from warmkit.hosts.platform import concurrency

AT_LEAST = 32
"""Threads, made as they are needed. A handler that waits for its turn would wait for others' databases."""

_kept: list[ThreadPoolExecutor] = []
os.register_at_fork(after_in_child=_kept.clear)  # a forked child has none of its parent's threads


async def run_in_thread(call: Callable[[], Any]) -> Any:
    """Calls a function in a thread, with the caller's context variables, and returns what it returns.

    A thread cannot be cancelled, and what it uses must stay open: a cancellation is raised when it is done.
    """
    if not _kept:
        _kept.append(
            ThreadPoolExecutor(max(AT_LEAST, concurrency()), thread_name_prefix="warmkit-handler")
        )
    variables = copy_context()
    work = asyncio.get_running_loop().run_in_executor(
        _kept[0], lambda: variables.run(_outcome, call)
    )
    cancelled = await outlast([work])
    result, error = work.result()
    if cancelled is not None:
        raise cancelled from error
    if error is not None:
        raise error
    return result


def _outcome(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Calls, and returns what came of it: a future cannot carry every exception."""
    try:
        return call(), None
    except BaseException as error:  # noqa: BLE001  raised again by whoever awaits
        return None, error
