"""The local Lambda for code that does not await: a thread with a loop, and nothing else."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from warmkit.local.local_lambda import Answer, EnvironmentFacts, LocalLambda

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

    from warmkit.local.options import Options

    T = TypeVar("T")


class BlockingLambda:
    """A `LocalLambda` whose methods wait: for fixtures of synchronous tests.

    Example:
        with BlockingLambda("app.handler") as function:
            assert function.invoke({"id": 1}).payload == {"total": 42}
    """

    def __init__(self, handler: str, **options: Unpack[Options]) -> None:
        """Start nothing yet. The options are those of `LocalLambda`."""
        self._lambda = LocalLambda(handler, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        """Start the loop and the function."""
        self._thread.start()
        try:
            self._wait(self._lambda.__aenter__())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all environments in order, then the loop."""
        try:
            self._wait(self._lambda.__aexit__(None, None, None))
        finally:
            self._stop()

    @property
    def environments(self) -> list[EnvironmentFacts]:
        """The environments as they are at the moment, the most recently used last."""
        return self._lambda.environments

    @property
    def log(self) -> str:
        """What all environments printed so far."""
        return self._lambda.log

    def invoke(
        self,
        event: object,
        *,
        client_context: object = None,
        tenant_id: str = "",
        trace_id: str = "",
    ) -> Answer:
        """Invoke the function, and wait until its environment has nothing left to do."""
        invoking = self._lambda.invoke(
            event, client_context=client_context, tenant_id=tenant_id, trace_id=trace_id
        )
        return self._wait(invoking)

    def freeze(self) -> None:
        """Wait until every environment stands still."""
        self._wait(self._lambda.freeze())

    def thaw(self) -> None:
        """Let every environment run although nothing is asked of it, as Lambda never does."""
        self._loop.call_soon_threadsafe(self._lambda.thaw)

    def cut(self) -> int:
        """Cut every TCP connection of the function behind its back; return how many there were."""
        return self._lambda.cut()

    def kill(self) -> None:
        """Let all environments vanish without a word."""
        self._wait(self._lambda.kill())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
