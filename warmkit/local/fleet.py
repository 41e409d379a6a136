"""The elastic pool: which environment serves an invocation, when another one is made, and when one ends."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from warmkit.local.sandbox.course import Course, Moment
from warmkit.local.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from warmkit.local.runtime_api.values import Invocation
    from warmkit.local.sandbox.function import Function


class ThrottledError(Exception):
    """All environments are busy, and there may not be more of them."""


class Fleet:
    """All environments of one function.

    Args:
        function: What they run.
        limit: How many there may be.
        idle_time: Seconds after which one that is not used ends.
        provisioned: How many are made in advance, and never end for want of use.
        say: Called with each line of an environment's log, and the environment's name.
        observe: Called with what happens to them.
    """

    def __init__(
        self,
        function: Function,
        *,
        limit: int,
        idle_time: float,
        provisioned: int,
        say: Callable[[str, str], None],
        observe: Callable[[Moment], None],
    ) -> None:
        self._function = function
        self._limit = limit
        self._idle_time = idle_time
        self._provisioned = provisioned
        self._say = say
        self._observe = observe
        self._all: list[Sandbox] = []  # the most recently used last
        self._kept: set[Sandbox] = set()
        self._reapers: dict[Sandbox, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Task[None]] = set()
        # On Lambda each environment has a processor of its own. Here they would slow each other
        # down until none is ready in time.
        self._starting = asyncio.Semaphore(os.cpu_count() or 1)

    @property
    def sandboxes(self) -> list[Sandbox]:
        """Every environment, the most recently used last."""
        return list(self._all)

    async def start(self) -> None:
        """Make the environments that are provisioned."""
        ready = replace(self._function, initialization="provisioned-concurrency")
        made = [self._make(ready) for _ in range(self._provisioned)]
        self._kept.update(made)
        await asyncio.gather(*(self._init(sandbox) for sandbox in made))
        for sandbox in made:
            sandbox.settle()

    async def invoke(self, invocation: Invocation) -> Course:
        """Hand an invocation to the most recently used environment that is free, or to a new one.

        Raises:
            ThrottledError: There is none, and may be none.
        """
        sandbox = self._free_for(invocation.tenant_id)
        new = sandbox is None
        if sandbox is None:
            sandbox = self._make_for(invocation.tenant_id)
        self._keep_from_reaper(sandbox)
        sandbox.reserved += 1
        try:
            if new:
                await self._init(sandbox)
            else:
                await asyncio.shield(sandbox.started)
        finally:
            sandbox.reserved -= 1
        return sandbox.invoke(invocation)

    def _free_for(self, tenant_id: str) -> Sandbox | None:
        # One that served nobody yet will do for anybody; one of a tenant never for another.
        free = [
            one
            for one in self._all
            if one.free and (one.tenant_id == tenant_id or not (one.invocations or one.reserved))
        ]
        if not free:
            return None
        free[-1].tenant_id = tenant_id
        return free[-1]

    def _make_for(self, tenant_id: str) -> Sandbox:
        if len(self._all) >= self._limit:
            spare = next((one for one in self._all if self._is_spare(one)), None)
            if spare is None:
                message = f"all {self._limit} environments are busy"
                raise ThrottledError(message)
            self._end(spare)
        function = self._function
        if self._provisioned:
            function = replace(function, initialization="on-demand")
        sandbox = self._make(function)
        sandbox.tenant_id = tenant_id
        return sandbox

    def _is_spare(self, sandbox: Sandbox) -> bool:
        return not sandbox.open and not sandbox.reserved and sandbox not in self._kept

    def _make(self, function: Function) -> Sandbox:
        name = ""

        def say(line: str) -> None:
            self._say(name, line)

        sandbox = Sandbox(function, say=say, observe=self._observe, idle=self._used)
        name = sandbox.name
        self._all.append(sandbox)
        return sandbox

    async def _init(self, sandbox: Sandbox) -> None:
        try:
            async with self._starting:
                await sandbox.init()
        except BaseException:
            self.kill(sandbox)
            raise
        finally:
            if not sandbox.started.done():
                sandbox.started.set_result(None)

    # -- after use

    def _used(self, sandbox: Sandbox) -> None:
        if sandbox not in self._all:
            if not sandbox.open:
                self._in_background(sandbox.shutdown())  # it was replaced while it was busy
            return
        if sandbox.dead:
            self._all.remove(sandbox)
            self._kept.discard(sandbox)
            self._in_background(sandbox.aclose())
            return
        self._all.remove(sandbox)
        self._all.append(sandbox)
        if not sandbox.open and sandbox not in self._kept:
            self._keep_from_reaper(sandbox)
            loop = asyncio.get_running_loop()
            self._reapers[sandbox] = loop.call_later(self._idle_time, self._reap, sandbox)

    def _keep_from_reaper(self, sandbox: Sandbox) -> None:
        reaper = self._reapers.pop(sandbox, None)
        if reaper is not None:
            reaper.cancel()

    def _reap(self, sandbox: Sandbox) -> None:
        if sandbox in self._all and self._is_spare(sandbox):
            self._end(sandbox)

    def _end(self, sandbox: Sandbox) -> None:
        self._keep_from_reaper(sandbox)
        self._all.remove(sandbox)
        self._kept.discard(sandbox)
        self._in_background(sandbox.shutdown())

    def replace_all(self) -> None:
        """Let no environment serve another invocation: the function's code has changed."""
        for sandbox in list(self._all):
            if sandbox.open or sandbox.reserved:
                self._all.remove(sandbox)
                self._kept.discard(sandbox)
            else:
                self._end(sandbox)

    def kill(self, sandbox: Sandbox) -> None:
        """Let an environment vanish without a word, as when its host fails."""
        if sandbox in self._all:
            self._keep_from_reaper(sandbox)
            self._all.remove(sandbox)
            self._kept.discard(sandbox)
            self._in_background(sandbox.aclose())

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def wait_until_settled(self) -> None:
        """Wait until no invocation is open, what is idle stands still, and what ends has ended."""
        await asyncio.gather(*(sandbox.wait_until_settled() for sandbox in self._all))
        while self._ending:
            await asyncio.wait(self._ending)

    async def aclose(self) -> None:
        """End all environments in order, side by side."""
        for sandbox in list(self._all):
            self._end(sandbox)
        while self._ending:
            await asyncio.wait(self._ending)
