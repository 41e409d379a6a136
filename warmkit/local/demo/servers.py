"""The demo's two servers: started side by side, filled with the orders, gone at the end."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from warmkit.local.demo.handlers import BUCKET
from warmkit.local.demo.orders import Order, fill_table, receipts
from warmkit.local.postgres_log import entries
from warmkit.local.postgres_server import PostgresServer
from warmkit.local.processes import HOST
from warmkit.local.s3_server import S3Server

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from warmkit.local.demo.interrupts import Interrupts

CLIENT = "order-lookup"
"""What the handlers' connections are called on the server."""

# They would lead the handlers to other servers than these, or past a proxy.
_IN_THE_WAY = ("AWS_", "PG", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class Servers:
    """PostgreSQL with the table of orders, and S3 with a receipt for each."""

    def __init__(self, orders: list[Order]) -> None:
        """Start nothing yet."""
        self.postgres = PostgresServer()
        self.s3 = S3Server()
        self._orders = orders

    def start(self, interrupts: Interrupts, tell: Callable[[str], None]) -> None:
        """Start and fill both.

        Args:
            interrupts: May end the wait, but not the start, which ends first.
            tell: Is told what is ready.

        Raises:
            ServerError: One did not start.
        """
        count = len(self._orders)
        with ThreadPoolExecutor() as threads:
            jobs = {
                threads.submit(_timed, self._start_postgres): f"PostgreSQL with {count} orders",
                threads.submit(_timed, self._start_s3): f"S3 with {count} receipts",
            }
            for job in interrupts.as_completed(jobs):
                tell(f"{jobs[job]} is ready after {job.result():.1f} s")

    def close(self) -> None:
        """End both and remove their files, whatever they are doing."""
        with ExitStack() as stack:
            stack.callback(self.postgres.close)
            stack.callback(self.s3.close)

    def connections_opened(self) -> int:
        """Return how many connections the handlers have opened so far."""
        log = (self.postgres.home / "log").read_text(errors="replace")
        messages = [entry.message for entry in entries(log)]
        end = f"application_name={CLIENT}"
        return sum(text.startswith("connection authorized") and end in text for text in messages)

    def connections_left(self) -> int:
        """Return how many connections are open, after a moment for those that are just going."""
        for _ in range(20):  # each round asks the server anew, which takes some milliseconds
            if not self.postgres.backends():
                return 0
        return len(self.postgres.backends())

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that lead the handlers here."""
        dsn = f"{self.postgres.dsn}?application_name={CLIENT}"
        return self.s3.environment | {"DATABASE_URL": dsn, "NO_PROXY": HOST, "no_proxy": HOST}

    def _start_postgres(self) -> None:
        self.postgres.start()
        asyncio.run(fill_table(self.postgres.dsn, self._orders))

    def _start_s3(self) -> None:
        self.s3.start()
        self.s3.put_objects(BUCKET, receipts(self._orders))


@contextmanager
def own_environment() -> Generator[None]:
    """Hide variables that would lead elsewhere; when the block ends, all are as they were."""
    before = dict(os.environ)
    for name in before:
        if name.upper().startswith(_IN_THE_WAY):
            del os.environ[name]
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _timed(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
