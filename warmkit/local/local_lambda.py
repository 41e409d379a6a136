"""The local Lambda as a library: one function, its environments, and what may happen to them."""

from __future__ import annotations

import json
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, Unpack, cast

from warmkit.local.fleet import Fleet
from warmkit.local.options import FleetOptions
from warmkit.local.runtime_api.values import Invocation
from warmkit.local.sandbox.cut import cut
from warmkit.local.sandbox.function import Function

if TYPE_CHECKING:
    from types import TracebackType

    from warmkit.local.options import FunctionOptions, Options
    from warmkit.local.sandbox.course import Course
    from warmkit.local.sandbox.report import Report

LIMIT, IDLE_S = 100, 300.0


class EnvironmentFacts(NamedTuple):
    """One environment as it is at the moment.

    Attributes:
        name: Its own.
        frozen: Whether its processes are stopped.
        busy: How many invocations it is serving.
        invocations: How many it was given.
        pid: The process id of its runtime; None if that does not run.
    """

    name: str
    frozen: bool
    busy: int
    invocations: int
    pid: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an invocation.

    Attributes:
        body: What the function, or Lambda in its place, answered.
        failed: Whether that describes an error.
        report: The facts.
        log: What it printed, with Lambda's own lines; the last 4 KB of it.
    """

    body: bytes
    failed: bool
    report: Report
    log: str

    @property
    def payload(self) -> Any:
        """The body as the value that it is in JSON."""
        return json.loads(self.body)


class LocalLambda:
    """A function, as Lambda runs it: environments that are made on demand, and stand still when idle.

    Example:
        async with LocalLambda("app.handler") as function:
            answer = await function.invoke({"id": 1})
            await function.freeze()
            function.cut()  # what a firewall does to an idle connection
            again = await function.invoke({"id": 1})

    Args:
        handler: "module.function".
        options: See `Options`.
    """

    def __init__(self, handler: str, **options: Unpack[Options]) -> None:
        """Start nothing yet."""
        if sys.platform != "linux":
            message = (
                "The local Lambda stops processes by Linux's process table. Run it in a container."
            )
            raise RuntimeError(message)
        self._lines: list[str] = []
        self._fleet_options = FleetOptions(
            limit=options.pop("limit", LIMIT),
            idle_time=options.pop("idle_time", IDLE_S),
            provisioned=options.pop("provisioned", 0),
            say=options.pop("say", lambda _, line: self._lines.append(line)),
            observe=options.pop("observe", lambda _: None),
        )
        root = Path(options.pop("task_root", Path.cwd())).resolve()
        rest = cast("FunctionOptions", options)
        self.function = Function(handler=handler, task_root=root, **rest)
        self._fleet: Fleet | None = None

    async def __aenter__(self) -> Self:
        """Make the environments that are provisioned."""
        self._fleet = Fleet(self.function, **self._fleet_options)
        try:
            await self._fleet.start()
        except BaseException:
            await self._fleet.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all environments in order."""
        await self.fleet.aclose()

    @property
    def fleet(self) -> Fleet:
        """The pool of environments."""
        if self._fleet is None:
            message = "The local Lambda is not started. Write: async with LocalLambda(...) as function: ..."
            raise RuntimeError(message)
        return self._fleet

    @property
    def environments(self) -> list[EnvironmentFacts]:
        """The environments as they are at the moment, the most recently used last."""
        return [
            EnvironmentFacts(one.name, one.frozen, one.open, one.invocations, one.runtime_pid)
            for one in self.fleet.sandboxes
        ]

    @property
    def log(self) -> str:
        """What all environments printed so far, if no `say` takes it."""
        return "".join(f"{line}\n" for line in self._lines)

    async def invoke(
        self,
        event: object,
        *,
        client_context: object = None,
        tenant_id: str = "",
        trace_id: str = "",
    ) -> Answer:
        """Invoke the function, and wait until its environment has nothing left to do.

        Raises:
            ThrottledError: All environments are busy, and there may not be more.
        """
        context = "" if client_context is None else json.dumps(client_context)
        invocation = self.invocation(json.dumps(event).encode())
        invocation.client_context = context
        invocation.tenant_id, invocation.trace_id = tenant_id, trace_id
        return await answer_of(await self.fleet.invoke(invocation))

    def invocation(self, event: bytes) -> Invocation:
        """Make an invocation of the function."""
        return Invocation(request_id=str(uuid.uuid4()), event=event, function_arn=self.function.arn)

    async def freeze(self) -> None:
        """Wait until every environment stands still."""
        await self.fleet.wait_until_settled()

    def thaw(self) -> None:
        """Let every environment run although nothing is asked of it, as Lambda never does."""
        for sandbox in self.fleet.sandboxes:
            sandbox.processes.thaw()

    def cut(self) -> int:
        """Cut every TCP connection of the function behind its back; return how many there were.

        Raises:
            PermissionError: The kernel does not allow it.
        """
        return sum(
            cut(one.processes.all_pids(), spare_port=one.api_port) for one in self.fleet.sandboxes
        )

    async def shut_down(self) -> None:
        """End all environments in order, as Lambda does with those that it needs no more."""
        await self.fleet.aclose()

    async def kill(self) -> None:
        """Let all environments vanish without a word, as when a host fails."""
        for sandbox in self.fleet.sandboxes:
            self.fleet.kill(sandbox)
        await self.fleet.wait_until_settled()


async def answer_of(course: Course) -> Answer:
    """Return what came of an invocation, when it is over."""
    reply = await course.replied
    body = await reply.read()
    report = await course.reported
    log = course.tail().decode(errors="replace")
    return Answer(body, reply.failure is not None, report, log)
