"""One execution environment: init, invoke, freeze, reset, shutdown.

It lives until `shutdown`; its processes may be replaced meanwhile, after a timeout or a crash. It
knows the rules of the two APIs and no HTTP paths.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from typing import TYPE_CHECKING

from warmkit.local.http import HttpServer, serve
from warmkit.local.runtime_api.app import RuntimeApi
from warmkit.local.runtime_api.extensions import Extensions, State
from warmkit.local.runtime_api.runtime import Exchange, Runtime
from warmkit.local.runtime_api.values import Failure, Invocation, Reply
from warmkit.local.sandbox.course import BrokenError, Course, Moment
from warmkit.local.sandbox.function import ACCOUNT, VERSION, Function, for_extension
from warmkit.local.sandbox.output import Output
from warmkit.local.sandbox.processes import Processes
from warmkit.local.sandbox.report import Report, init_report, megabytes

if TYPE_CHECKING:
    from collections.abc import Callable

_RUNTIME = "runtime"
_INTERNAL_BUDGET_S, _EXTERNAL_BUDGET_S = 0.5, 2.0
_RUNTIME_SHARE = 0.3
"""Of the whole budget, where external extensions want some of it too."""


class Sandbox:
    """One execution environment.

    Args:
        function: What it runs.
        say: Called with each line of its log.
        observe: Called with what happens to it.
        idle: Called whenever it could take an invocation again, or has died.
    """

    def __init__(
        self,
        function: Function,
        *,
        say: Callable[[str], None],
        observe: Callable[[Moment], None],
        idle: Callable[[Sandbox], None],
    ) -> None:
        self.function = function
        self.name = secrets.token_hex(4)
        self.tenant_id = ""
        self.invocations = 0
        self.open = 0
        self.reserved = 0
        self.dead = False
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._observe = observe
        self._idle = idle
        self._news = asyncio.Event()
        self._exits: dict[str, int] = {}
        self._ready = False
        self._peak = 0
        self._init_ms: float | None = None
        self._init_failure: Failure | None = None
        self._courses: set[asyncio.Task[None]] = set()
        self._freezing: asyncio.Task[None] | None = None
        self._token = secrets.token_hex(16)
        snap_start = function.initialization == "snap-start"
        self._api = RuntimeApi(snap_start=snap_start, metadata_token=self._token)
        self._output = Output(say)
        self.processes = Processes(self._output, self._ended)
        self._server: HttpServer | None = None

    @property
    def frozen(self) -> bool:
        """Whether its processes are stopped."""
        return self.processes.frozen

    @property
    def free(self) -> bool:
        """Whether it can take one more invocation."""
        return not self.dead and self.open + self.reserved < self.function.concurrency

    @property
    def runtime_pid(self) -> int | None:
        """The process id of the runtime, if it runs."""
        return self.processes.pids.get(_RUNTIME)

    @property
    def api_port(self) -> int:
        """The port of its Runtime API; 0 while there is none."""
        return self._server.port if self._server is not None else 0

    # -- init

    async def init(self) -> None:
        """Run the init phase, within its limit. A failure shows in the first invocation."""
        begun = time.monotonic()
        self._server = await serve(self._api)
        self._tell("started")
        try:
            async with asyncio.timeout(self.function.longest_init):
                await self._launch()
        except TimeoutError:
            await self._init_failed(begun, "timeout", Failure("Sandbox.Timedout", b""))
        except BrokenError as error:
            await self._init_failed(begun, "error", error.failure)
        else:
            self._init_ms = (time.monotonic() - begun) * 1000
            self._tell("ready", f"init {self._init_ms:.0f} ms")

    async def _init_failed(self, begun: float, status: str, failure: Failure) -> None:
        milliseconds = (time.monotonic() - begun) * 1000
        kind = failure.told_kind if status == "error" else ""
        self._output.platform(init_report(milliseconds, status=status, error_type=kind))
        self._tell("init failed", kind or f"not ready after {milliseconds:.0f} ms")
        self._init_failure = failure
        await self._end_processes("timeout" if status == "timeout" else "failure")

    async def _launch(self) -> None:
        """Start the extensions, then the runtime, and wait until all ask for an event.

        Raises:
            BrokenError: One of them ended, or said that it cannot be served.
        """
        assert self._server is not None
        self._exits.clear()
        function = self.function
        variables = function.variables(
            api=self._server.address, log_stream=self._log_stream, token=self._token
        )
        self._api.runtime = Runtime(function.concurrency, self._changed)
        self._api.extensions = Extensions(
            [path.name for path in function.extensions],
            about={
                "functionName": function.name,
                "functionVersion": VERSION,
                "handler": function.handler,
            },
            account=ACCOUNT,
            concurrency=function.concurrency,
            changed=self._changed,
        )
        root = str(function.task_root)
        for path in function.extensions:
            shown = for_extension(variables)
            await self.processes.run(path.name, [str(path)], shown, root)
        await self._until(lambda: self._api.extensions.all_registered)
        await self.processes.run(_RUNTIME, function.command, variables, root)
        await self._until(self._is_ready)
        self._ready = True

    def _is_ready(self) -> bool:
        runtime, extensions = self._api.runtime, self._api.extensions
        return (runtime.ready or runtime.restoring) and extensions.all_ready

    @property
    def _log_stream(self) -> str:
        return f"{time.strftime('%Y/%m/%d')}/[{VERSION}]{self.name}"

    # -- invoke

    def invoke(self, invocation: Invocation) -> Course:
        """Begin an invocation. The environment must be free."""
        loop = asyncio.get_running_loop()
        course = Course(loop.create_future(), loop.create_future(), self._output.tail)
        self.open += 1
        self.invocations += 1
        task = asyncio.create_task(self._run(invocation, course))
        self._courses.add(task)
        task.add_done_callback(self._courses.discard)
        return course

    async def _run(self, invocation: Invocation, course: Course) -> None:
        begun = time.monotonic()
        if self.function.concurrency == 1:
            self._output.begin()
        self._output.platform(f"START RequestId: {invocation.request_id} Version: {VERSION}")
        self._tell("invoked", invocation.request_id)
        self._thaw()
        failure: Failure | None = None
        status = "error"
        try:
            async with asyncio.timeout(self.function.timeout):
                failure = await self._serve(invocation, course)
        except TimeoutError:
            failure, status = self._timed_out(invocation), "timeout"
            await self._give_up(course, failure, reason="timeout")
        except BrokenError as error:
            failure = error.failure
            await self._give_up(course, failure, reason="failure")
        except ProcessLookupError as error:
            failure = Failure.of_platform("Sandbox.Failure", str(error), invocation.request_id)
            await self._give_up(course, failure, reason="failure")
        except asyncio.CancelledError:
            course.replied.cancel()
            course.reported.cancel()
            raise
        self._report(invocation, course, begun, failure, status)
        self._done()

    async def _serve(self, invocation: Invocation, course: Course) -> Failure | None:
        """Let the function answer, and wait until all is done; return what went wrong in its code."""
        invocation.deadline_ms = int((time.time() + self.function.timeout) * 1000)
        if not self._ready:
            await self._repeat_init(invocation)
        if self._api.runtime.restoring:
            await self._restore()
        await self._until(lambda: self._api.runtime.ready, invocation)
        exchange = self._api.runtime.give(invocation)
        exchange.replied.add_done_callback(lambda _: self._news.set())
        exchange.finished.add_done_callback(lambda _: self._news.set())
        self._tell_extensions(invocation)
        try:
            await self._until(exchange.replied.done, invocation)
            reply = exchange.replied.result()
            course.replied.set_result(reply)
            self._tell("replied", invocation.request_id)
            await self._until(lambda: self._is_finished(exchange), invocation)
        except (TimeoutError, asyncio.CancelledError, BrokenError):
            self._api.runtime.abandon(exchange)
            raise
        return reply.failure

    def _is_finished(self, exchange: Exchange) -> bool:
        return exchange.finished.done() and self._api.extensions.all_ready

    def _tell_extensions(self, invocation: Invocation) -> None:
        event: dict[str, object] = {
            "deadlineMs": invocation.deadline_ms,
            "requestId": invocation.request_id,
            "invokedFunctionArn": invocation.function_arn,
        }
        if invocation.trace_id:
            event["tracing"] = {"type": "X-Amzn-Trace-Id", "value": invocation.trace_id}
        self._api.extensions.tell_invoke(event)

    async def _repeat_init(self, invocation: Invocation) -> None:
        """Run the init phase once more, within the invocation's own time.

        What it prints is shown only if it says something new.
        """
        self._output.hold()
        failure: Failure | None = None
        try:
            await self._launch()
        except BrokenError as error:
            failure = error.failure
            raise
        finally:
            before = self._init_failure
            repeated = failure is not None and before is not None and failure.kind == before.kind
            self._output.release(show=not repeated)

    async def _restore(self) -> None:
        self._api.runtime.restored.set()
        self._tell("restored")
        await self._until(lambda: self._api.runtime.ready)

    async def _give_up(self, course: Course, failure: Failure, *, reason: str) -> None:
        """Tell the caller what went wrong, and begin anew with the processes."""
        if not course.replied.done():
            course.replied.set_result(Reply.failed(failure))
        elif (reply := course.replied.result()).streams:
            await reply.end(failure)
        if self.function.concurrency > 1 and reason == "timeout":
            return  # the function goes on; what it answers is not taken
        self._tell("reset", reason)
        self._init_failure = failure
        await self._end_processes(reason)
        if self.function.concurrency > 1 or self.processes.gone:
            self.dead = True

    def _timed_out(self, invocation: Invocation) -> Failure:
        text = f"Task timed out after {self.function.timeout:.2f} seconds"
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        self._output.platform(f"{moment}.000Z {invocation.request_id} {text}")
        return Failure.of_platform("Sandbox.Timedout", text, invocation.request_id)

    def _report(
        self,
        invocation: Invocation,
        course: Course,
        begun: float,
        failure: Failure | None,
        status: str,
    ) -> None:
        init_ms, self._init_ms = self._init_ms, None
        self._peak = max(self._peak, self.processes.peak_memory())
        report = Report(
            request_id=invocation.request_id,
            environment=self.name,
            duration_ms=(time.monotonic() - begun) * 1000,
            init_ms=init_ms,
            memory_mb=self.function.memory,
            peak_mb=megabytes(self._peak),
            status=status if failure else "success",
            error_type=failure.told_kind if failure else "",
        )
        self._output.platform(f"END RequestId: {invocation.request_id}")
        self._output.platform(str(report))
        if not course.reported.done():
            course.reported.set_result(report)

    def _done(self) -> None:
        self.open -= 1
        self._idle(self)
        self.settle()

    # -- freeze

    def settle(self) -> None:
        """Freeze it, unless it has something to do."""
        if self.open == 0 and self._ready and self.function.freezes and not self.frozen:
            self._freezing = asyncio.create_task(self._freeze())

    async def _freeze(self) -> None:
        # An invocation that came since then finds it running.
        if not self.open and await self.processes.freeze():
            self._tell("frozen")

    async def wait_until_settled(self) -> None:
        """Wait until no invocation is open, and it stands still if it ever does."""
        while self._courses:
            await asyncio.wait(self._courses)
        if self._freezing is not None:
            await asyncio.wait([self._freezing])

    def _thaw(self) -> None:
        if self.frozen:
            self.processes.thaw()
            self._tell("thawed")

    # -- the end

    async def shutdown(self) -> None:
        """End it in order, as Lambda does with an environment that it needs no more."""
        self.dead = True
        self._tell("shutdown")
        for task in list(self._courses):
            task.cancel()
        if self._courses:
            await asyncio.wait(self._courses)
        await self._end_processes("spindown")
        await self.aclose()

    async def aclose(self) -> None:
        """End it at once. Does nothing the second time."""
        self.dead = True
        await self.processes.close()
        if self._server is not None:
            await self._server.aclose()
            self._server = None
            self._tell("ended")

    async def _end_processes(self, reason: str) -> None:
        """Warn them, give them the time that Lambda gives, and kill what is left."""
        self._ready = False
        if self._freezing is not None:
            self._freezing.cancel()
        self._peak = max(self._peak, self.processes.peak_memory())
        self.processes.thaw()
        if hasattr(self._api, "extensions"):
            await self._warn(reason, self._api.extensions)
        await self.processes.kill()

    async def _warn(self, reason: str, extensions: Extensions) -> None:
        external = [one for one in extensions.external if one.state is not State.STARTED]
        budget = _EXTERNAL_BUDGET_S if external else _INTERNAL_BUDGET_S
        if not external and not extensions.internal:
            return
        begun = time.monotonic()
        self.processes.signal(_RUNTIME, signal.SIGTERM)
        share = budget * (_RUNTIME_SHARE if external else 1)
        await self._within(share, lambda: _RUNTIME not in self.processes.pids)
        self.processes.signal(_RUNTIME, signal.SIGKILL)
        if not external:
            return
        deadline_ms = round((time.time() + budget - (time.monotonic() - begun)) * 1000)
        told = extensions.tell_shutdown({"shutdownReason": reason, "deadlineMs": deadline_ms})
        waited_for = {extension.name for extension in told}
        left = budget - (time.monotonic() - begun)
        await self._within(left, lambda: waited_for.isdisjoint(self.processes.pids))

    # -- news

    def _changed(self) -> None:
        if self._api.runtime.ready:
            self._api.extensions.close_registration()
        self._news.set()

    def _ended(self, name: str, status: int) -> None:
        self._exits[name] = status
        self._tell("exited", f"{name}: {_described(status)}")
        self._news.set()
        if not self.open and self._ready and not self.dead:  # while nobody used it
            self.dead = True
            self._idle(self)

    async def _until(self, done: Callable[[], bool], invocation: Invocation | None = None) -> None:
        """Wait until something is so.

        Raises:
            BrokenError: It never will, because a process ended or said that it cannot go on.
        """
        while not done():
            self._check(invocation.request_id if invocation else "")
            self._news.clear()
            await self._news.wait()

    async def _within(self, seconds: float, done: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not done():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass

    def _check(self, request_id: str) -> None:
        failed = self._api.extensions.failed
        if self._api.runtime.init_failure is not None:
            raise BrokenError(self._api.runtime.init_failure)
        if failed is not None:
            kind = "Extension." + failed.state.value
            message = f"extension {failed.name} failed: {failed.failure}"
            raise BrokenError(Failure.of_platform(kind, message, request_id))
        for name, status in self._exits.items():
            if name == _RUNTIME:
                message = _how_the_runtime_ended(status)
                raise BrokenError(Failure.of_platform("Runtime.ExitError", message, request_id))
            message = f"extension {name} {_described(status)}"
            raise BrokenError(Failure.of_platform("Extension.Crash", message, request_id))

    def _tell(self, what: str, detail: str = "") -> None:
        self._observe(Moment(time.monotonic(), self.name, what, detail))


def _how_the_runtime_ended(status: int) -> str:
    if status == 0:
        return "Runtime exited without providing a reason"
    return f"Runtime exited with error: {_described(status)}"


def _described(status: int) -> str:
    if status < 0:
        return f"signal: {signal.strsignal(-status) or -status}".lower()
    return f"exit status {status}"
