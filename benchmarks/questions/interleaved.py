"""Does any of a million interleaved invocations see the request id, the deadline, the tenant or the span of another one?

warmkit's runtime serves invocations from memory, at 1, 4, 16 and 32 at once. The handler, with a resource, an OpenTelemetry tracer whose
parent is in the event, and log lines, waits in random ways (a turn of the loop, a future that is resolved in random order, a
task, a thread) and looks after each at everything that says which invocation this is.
A million in full, of which a run in a hurry asks a hundredth; `--option invocations=20000` for another number.
"""

import asyncio
import json
import logging
import random
import time
from typing import Annotated, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from benchmarks.harness.answer import Answer, Count, Finding, counted
from benchmarks.harness.run import Run
from warmkit import Invocation, resource, warm_handler
from warmkit.environment import default_environment
from warmkit.runtime import current, logs
from warmkit.runtime.api import ApiGoneError
from warmkit.runtime.protocol import Received
from warmkit.runtime.together import Pollers

NOT_SHOWN = "State that the handler itself keeps in a module global: that is shared by all invocations, as in any Python."

INVOCATIONS = 1_000_000
AT_ONCE = (1, 4, 16, 32)
FAR, APART = 2_500_000_000_000, 100_000
"""Milliseconds: the first deadline, and how far from each other they are."""
_parent = TraceContextTextMapPropagator()


def received(number: int) -> Received:
    """Returns an invocation that has nothing in common with any other."""
    parent = f"00-{number + 1:032x}-{number + 1:016x}-01"
    return Received(
        f"id-{number}",
        FAR + APART * number,
        json.dumps({"number": number, "headers": {"traceparent": parent}}).encode(),
        "application/json",
        trace_id=f"x-{number}",
        tenant_id=f"t-{number}",
    )


class Memory:
    """A platform without sockets, for any number of pollers: each invocation is given once, and is to be answered once."""

    def __init__(self, count: int) -> None:
        self.wrong: list[object] = []
        self.looks = self.answers = 0
        self._numbers = iter(range(count))

    async def next(self) -> Received:
        await asyncio.sleep(0)
        for number in self._numbers:
            return received(number)
        raise ApiGoneError("that was the last one")

    async def respond(self, received: Received, body: bytes, content_type: str) -> None:
        self.answers += 1
        self.expect(received.request_id, f"id-{json.loads(body)}")

    async def fail(self, received: Received, failure: object) -> None:
        self.wrong.append((received.request_id, failure))

    def stream(self, received: Received) -> Any:
        raise NotImplementedError

    def expect(self, expected: object, seen: object) -> None:
        self.looks += 1
        if seen != expected:
            self.wrong.append((expected, seen))


class Lines(logs.Log):
    """Looks at each line of the log: it says its number, and must bear that one's request id."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(None, as_json=False, levelled=False)
        self._memory = memory

    def write(self, text: str, level: int) -> None:
        _, _, request_id, message = text.split("\t")
        self._memory.expect(f"id-{message}", request_id)


class Crowd:
    """Many invocations at once of one handler.

    Args:
        count: How many invocations.
        at_once: How many at a time.
        seed: Of all that is random.
    """

    def __init__(self, count: int, at_once: int, seed: int = 1) -> None:
        self.memory = Memory(count)
        self._at_once = at_once
        self._chance = random.Random(seed)
        self._tracer = TracerProvider(shutdown_on_exit=False).get_tracer("interleaved")
        self._pending: list[asyncio.Future[None]] = []
        self._log = logging.Logger("interleaved")  # noqa: LOG001  of this crowd alone
        self._log.addHandler(logs._Handler(Lines(self.memory)))  # noqa: SLF001  as the runtime has it

    def run(self) -> Memory:
        """Serves them all."""
        asyncio.run(self._serve())
        return self.memory

    async def _serve(self) -> None:
        pollers = Pollers(self._handler(), [self.memory] * self._at_once, self.memory.wrong.append)
        logging.getLogger("warmkit").disabled = True  # each poller says that it ends
        try:
            await pollers.run()
        except ApiGoneError:
            await default_environment(asyncio.get_running_loop()).aclose()
        finally:
            logging.getLogger("warmkit").disabled = False

    def _handler(self) -> Any:
        @resource
        def numbers() -> dict[str, bool]:
            return {"shared": True}

        @warm_handler
        async def handler(
            event: Any, context: Any, facts: Invocation, shared: Annotated[dict[str, bool], numbers]
        ) -> int:
            number: int = event["number"]
            self.memory.expect(True, shared["shared"])
            with self._tracer.start_as_current_span("served", _parent.extract(event["headers"])):
                self.begin(number)
                for _ in range(self._chance.randrange(4)):
                    await self._wait(number, context, facts)
                    self._look(number, context, facts)
            return number

        return handler

    def begin(self, number: int) -> None:
        """An invocation begins; for crowds that keep something wrongly."""

    def whose(self) -> str:
        """Returns the request id of the invocation that is being served."""
        return current.request_id.get()

    def _look(self, number: int, context: Any, facts: Invocation) -> None:
        expect = self.memory.expect
        expect(f"id-{number}", self.whose())
        expect(f"x-{number}", current.trace_id.get())
        expect(f"t-{number}", current.tenant_id.get())
        expect((f"id-{number}", f"t-{number}"), (context.aws_request_id, context.tenant_id))
        ends = time.time() * 1000 + context.get_remaining_time_in_millis()
        expect(number, round((ends - FAR) / APART))
        expect(number, round(((facts.deadline or 0) * 1000 - FAR) / APART))
        expect(f"id-{number}", facts.request_id)
        expect(number + 1, trace.get_current_span().get_span_context().trace_id)
        self._log.warning("%d", number)

    async def _wait(self, number: int, context: Any, facts: Invocation) -> None:
        how = self._chance.random()
        if how < 0.4:
            await asyncio.sleep(0)
        elif how < 0.8:
            await self._in_random_order()
        elif how < 0.995:
            await asyncio.create_task(self._elsewhere(number, context, facts))
        else:
            await asyncio.to_thread(self._look, number, context, facts)

    async def _in_random_order(self) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._pending.append(future)
        loop.call_soon(self._resolve_one)
        await future

    def _resolve_one(self) -> None:
        self._pending.pop(self._chance.randrange(len(self._pending))).set_result(None)

    async def _elsewhere(self, number: int, context: Any, facts: Invocation) -> None:
        await asyncio.sleep(0)
        self._look(number, context, facts)


def ask(run: Run) -> Answer:
    count = int(run.options.get("invocations", run.times(INVOCATIONS, quick=INVOCATIONS // 100)))
    rows: dict[str, list[float | str]] = {}
    looks = wrong = 0
    parts = {at_once: Crowd(count // len(AT_ONCE), at_once) for at_once in AT_ONCE}
    for number in run.rounds(len(AT_ONCE), quick=len(AT_ONCE), doing="at once"):
        at_once = AT_ONCE[number]
        memory = parts[at_once].run()
        assert memory.answers == count // len(AT_ONCE)
        rows[f"{at_once} at once"] = [memory.answers, memory.looks, len(memory.wrong)]
        looks += memory.looks
        wrong += len(memory.wrong)
    return Answer(
        findings=[
            Finding(
                "wrong",
                f"of {looks:,} looks in {count:,} interleaved invocations {{}} saw something of another one",
                counted(wrong),
                digits=0,
                at_most=0,
                closing=True,
            )
        ],
        counts=[Count("interleaved invocations", ["answered", "looks", "wrong"], rows)],
    )
