"""Invocations that nobody waits for: tried again as Lambda does, then given up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from warmkit.local.fleet import ThrottledError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warmkit.local.fleet import Fleet
    from warmkit.local.runtime_api.values import Invocation

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 300.0
"""Between two attempts to find an environment for one that was throttled."""


class Later:
    """Carries out asynchronous invocations.

    Args:
        fleet: Who serves them.
        delays: Seconds before each further attempt after the function has failed.
        note: Called with what becomes of those that fail.
    """

    def __init__(self, fleet: Fleet, delays: Sequence[float], note: Callable[[str], None]) -> None:
        self._fleet = fleet
        self._delays = delays
        self._note = note
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, invocation: Invocation) -> None:
        """Carry one out, in the background."""
        task = asyncio.create_task(self._carry_out(invocation))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, invocation: Invocation) -> None:
        for delay in (*self._delays, None):
            # Each attempt has the same request id, and a nonce of its own.
            failed = await self._attempt(replace(invocation, nonce=f"{invocation.nonce}-{delay}"))
            if not failed:
                return
            if delay is not None:
                self._note(f"event {invocation.request_id} failed, tried again in {delay:g} s")
                await asyncio.sleep(delay)
        attempts = len(self._delays) + 1
        self._note(f"event {invocation.request_id} failed {attempts} times and is given up")

    async def _attempt(self, invocation: Invocation) -> bool:
        """Return whether the function failed."""
        pause = _FIRST_PAUSE_S
        while True:
            try:
                course = await self._fleet.invoke(invocation)
            except ThrottledError:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                reply = await course.replied
                await reply.read()
                await course.reported
                return reply.failure is not None

    async def aclose(self) -> None:
        """Give up all that is not over."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
