"""Runs functions as Lambda Managed Instances do, many invocations at once: AWS's emulator in its multi-concurrency mode."""

from __future__ import annotations

import json
import os
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import room
from emulator import Answer, Emulator, emulator_program, exchange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

UNAVAILABLE = "Runtime.Unavailable"
"""The platform's error type where all pollers are busy, or none is there yet."""


class ManagedInstance(Emulator):
    """One execution environment of a managed instance, with one function.

    The function's process starts with it, as in Lambda; logs are JSON, if `env` does not say otherwise. What the
    emulator gets wrong: deadlines are a million times too far away (23 days for a timeout of 2 s), and the tenant is not passed on.
    It ends when the init phase fails, or the process exits.
    """

    def __init__(
        self,
        handler: str,
        *,
        concurrency: int,
        task_root: Path,
        env: Mapping[str, str] | None = None,
        runtime: str = "awslambdaric",
    ) -> None:
        """Say what to run.

        Args:
            handler: "module.function".
            concurrency: How many invocations it serves at once.
            task_root: The directory with the function's code; it is /var/task for the function.
            runtime: The module that serves it: AWS's own runtime, or warmkit's.
            env: Environment variables besides those of this process, of which none that begins
                with AWS_ is passed on.
        """
        variables = {**(env or {}), "AWS_LAMBDA_MAX_CONCURRENCY": str(concurrency)}
        super().__init__(handler, task_root=task_root, env=variables, runtime=runtime)

    @property
    def began(self) -> float:
        """When the emulator began, on the clock of `time.perf_counter`."""
        return float(self.log.partition(room.BEGINS)[2].partition("\n")[0])

    def exchange(self, event: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Invoke the function with an event as it is, and return the answer as it is. For any thread."""
        connection = self.connect()
        try:
            return exchange(connection, event, headers or {})
        finally:
            connection.close()

    def patient_exchange(self, event: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Invoke the function, again and again while no poller is free."""
        while True:
            try:
                answer = self.exchange(event, headers)
            except (BrokenPipeError, ConnectionResetError):  # it was refused before it was read
                continue  # if the environment has ended, the next one is refused as a connection
            if answer.error_type != UNAVAILABLE:
                return answer

    def invoke_together(self, events: Iterable[object]) -> list[Answer]:
        """Invoke the function with all events at once; there must not be more than it can serve."""
        written = [json.dumps(event).encode() for event in events]
        with ThreadPoolExecutor(len(written)) as callers:
            return list(callers.map(self.patient_exchange, written))

    def _command(self, options: list[str]) -> list[str | Path]:
        assert self._home is not None
        runtime = self._home / "runtime"
        runtime.mkdir()
        bootstrap = runtime / "bootstrap"
        bootstrap.write_text(self._script())
        bootstrap.chmod(0o755)
        enter = [sys.executable, "-I", "-S", room.__file__, runtime, self._task_root]
        return [*enter, emulator_program(), *options]

    def _script(self) -> str:
        """What starts the runtime. The emulator passes on only some of its variables."""
        exported = [f"export {name}={shlex.quote(value)}" for name, value in self._env.items()]
        start = shlex.join([sys.executable, "-m", self._runtime, self._handler])
        return os.linesep.join(["#!/bin/sh", *exported, f"exec {start}", ""])
