"""The servers behind the function in `functions/orders`: PostgreSQL and S3 with orders, and a network before both.

with Servers() as servers, servers.network(round_trip=0.001) as network:
    run("naive.handler", ROOT, network.environment)
"""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from benchmarks.parts.wire import Seen, Wire
from warmkit.local.postgres_server import PostgresServer
from warmkit.local.processes import HOST, ChildProcess
from warmkit.local.s3_server import S3Server

ROOT = Path(__file__).parents[1] / "functions" / "orders"
BUCKET = "orders"
COUNT = 100


def answer(order: int) -> dict[str, object]:
    """What the function must return for {"order": order}, which is from 0 up to COUNT."""
    return {"order": order, "total": _total(order), "receipt": _receipt(order)}


class KeepAliveS3Server(S3Server):
    """Keeps connections open between requests, as S3 does; moto by itself closes each."""

    PROGRAM = """
import sys, uvicorn
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
app = DomainDispatcherApplication(create_backend_app)
uvicorn.run(app, host=sys.argv[1], port=int(sys.argv[2]), interface="wsgi", access_log=False)
"""

    def _spawn(self) -> ChildProcess:
        return ChildProcess(
            [sys.executable, "-c", self.PROGRAM, HOST, str(self.port)],
            home=self.home,
            last_signal=self._last_signal,
        )

    def _is_ready(self, output: str) -> bool:
        return f"running on {self.endpoint_url}" in output


class Network:
    """The way to the servers: direct, or over wires. Use it in a `with` block.

    Args:
        postgres: Has the orders.
        s3: Has the receipts.
        round_trip: Seconds; None for the direct way, on which nothing is counted.
    """

    def __init__(self, postgres: PostgresServer, s3: S3Server, round_trip: float | None) -> None:
        self._postgres, self._s3 = postgres, s3
        self._round_trip = round_trip
        self._wires: list[Wire] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._round_trip is not None:
            for server in self._postgres, self._s3:
                wire = Wire((HOST, server.port), round_trip=self._round_trip)
                self._wires.append(self._stack.enter_context(wire))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def environment(self) -> dict[str, str]:
        """What the function needs of environment variables."""
        servers = (self._postgres, self._s3)
        ports = [item.port for item in self._wires or servers]
        dsn = self._postgres.dsn.replace(f":{self._postgres.port}/", f":{ports[0]}/")
        return self._s3.environment | {
            "DATABASE_URL": dsn,
            "AWS_ENDPOINT_URL_S3": f"http://{HOST}:{ports[1]}",
            "BUCKET": BUCKET,
            "NO_PROXY": HOST,
        }

    def seen(self) -> tuple[Seen, Seen]:
        """What went to PostgreSQL and to S3 so far."""
        postgres, s3 = (wire.seen() for wire in self._wires)
        return postgres, s3

    def delay(self, round_trip: float) -> None:
        """Lets a round trip take that many seconds from now on."""
        for wire in self._wires:
            wire.delay(round_trip)

    def cut(self) -> None:
        """Ends all connections, as a network does that has forgotten them."""
        for wire in self._wires:
            wire.cut()


class Servers:
    """Both, filled. They run in a `with` block."""

    def __init__(self) -> None:
        self.postgres, self.s3 = PostgresServer(), KeepAliveS3Server()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.postgres)
            stack.enter_context(self.s3)
            self.postgres.execute(
                "CREATE TABLE orders (number int PRIMARY KEY, total int NOT NULL)"
            )
            rows = ", ".join(f"({order}, {_total(order)})" for order in range(COUNT))
            self.postgres.execute(f"INSERT INTO orders VALUES {rows}")
            receipts = {f"receipts/{order}": _receipt(order).encode() for order in range(COUNT)}
            self.s3.put_objects(BUCKET, receipts)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def network(self, round_trip: float | None = None) -> Network:
        """A way to them; there may be several at a time."""
        return Network(self.postgres, self.s3, round_trip)


def _total(order: int) -> int:
    return order * 137 + 99


def _receipt(order: int) -> str:
    return f"Order {order}: {_total(order)} cents. Thank you, call again!"
