"""A network between a client and a server on this machine, whose round trip takes time: loopback hides round trips.

It is a process of its own, so that it takes no turn from the one that is measured. Each direction takes half of a
round trip; the first thing that a client says takes one more, as opening a connection does. What is on its
way is not held up by what went before it: a thread receives, another waits and sends.

    with Wire(("127.0.0.1", 5432), round_trip=0.001) as wire:
        connect(wire.port)
        print(wire.seen())
        wire.delay(0.005)
"""

import queue
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

CHUNK = 65536
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Seen(NamedTuple):
    """What went over the wire since it was made.

    Attributes:
        connections: How many were opened.
        round_trips: How often a client spoke and was answered, the opening of connections not included.
    """

    connections: int
    round_trips: int


class Wire:
    """Passes connections on. Its port is its own until it is closed.

    Args:
        server: Host and port to pass on to.
        round_trip: Seconds.
    """

    def __init__(self, server: tuple[str, int], *, round_trip: float = 0.0) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.parts.wire",
                server[0],
                str(server[1]),
                str(round_trip),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self.port = int(self._told())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def seen(self) -> Seen:
        return Seen(*map(int, self._ask("seen").split()))

    def delay(self, round_trip: float) -> None:
        """Lets a round trip take that many seconds from now on, on connections that are open too."""
        self._ask(f"delay {round_trip}")

    def cut(self) -> None:
        """Ends all connections with a reset (RST), as a server does that crashes."""
        self._ask("cut")

    def forget(self) -> None:
        """Answers whatever is said next on a connection that is open now with a reset, as a NAT gateway does."""
        self._ask("forget")

    def swallow(self) -> None:
        """Drops without a word whatever is said from now on on a connection that is open now, as a firewall does."""
        self._ask("swallow")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, word: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return self._told()

    def _told(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the wire's process has ended")
        return line


# -- in its process


class Link:
    """One connection, and its continuation to the server.

    Attributes:
        round_trip: Seconds, for all of them.
    """

    round_trip = 0.0

    def __init__(self, client: socket.socket, server: tuple[str, int]) -> None:
        self.round_trips = 0
        self._ends = (client, socket.create_connection(server))
        for end in self._ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._opened = self._spoken = False
        self._over = self._forgotten = self._swallowed = False

    def open(self) -> None:
        """Begins to pass on. It is to be known by then: nothing goes over the wire that is not seen."""
        client, server = self._ends
        self._pass_on(client, server, self._ask)
        self._pass_on(server, client, self._answer)

    def cut(self) -> None:
        self._over = True
        for end in self._ends:
            with suppress(OSError):  # it has ended already
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                end.shutdown(socket.SHUT_RD)  # wakes the thread that receives
            end.close()

    def forget(self) -> None:
        self._forgotten = True

    def swallow(self) -> None:
        self._swallowed = True

    def _ask(self) -> float:
        opening = 0.0 if self._opened else self.round_trip
        self._opened = self._spoken = True
        return self.round_trip / 2 + opening

    def _answer(self) -> float:
        self.round_trips += self._spoken
        self._spoken = False
        return self.round_trip / 2

    def _pass_on(
        self, source: socket.socket, sink: socket.socket, note: Callable[[], float]
    ) -> None:
        under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        for target, end in ((self._receive, source), (self._deliver, sink)):
            threading.Thread(target=target, args=(end, under_way, note), daemon=True).start()

    def _receive(
        self,
        source: socket.socket,
        under_way: "queue.SimpleQueue[tuple[float, bytes]]",
        note: Callable[[], float],
    ) -> None:
        data = b"-"
        while data:
            try:
                data = source.recv(CHUNK)
            except OSError:
                data = b""
            if data and self._forgotten:
                self.cut()
            if data and (self._forgotten or self._swallowed):
                continue
            now = time.monotonic()
            under_way.put((now + note() if data else now + self.round_trip / 2, data))

    def _deliver(
        self,
        sink: socket.socket,
        under_way: "queue.SimpleQueue[tuple[float, bytes]]",
        note: Callable[[], float],
    ) -> None:
        data = b"-"
        while data:
            due, data = under_way.get()
            time.sleep(max(0.0, due - time.monotonic()))
            with suppress(OSError):
                if data:
                    sink.sendall(data)
                elif not self._over:
                    sink.shutdown(socket.SHUT_WR)


ORDERS: dict[str, Callable[[Link], None]] = {
    "seen": lambda _: None,
    "cut": Link.cut,
    "forget": Link.forget,
    "swallow": Link.swallow,
}


def main() -> None:
    host, port, round_trip = sys.argv[1:]
    Link.round_trip = float(round_trip)
    links: list[Link] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=obey, args=(links,), daemon=True).start()
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            links.append(Link(client, (host, int(port))))
            links[-1].open()


def obey(links: list[Link]) -> None:
    for line in sys.stdin:
        word, *arguments = line.split()
        if word == "delay":
            Link.round_trip = float(arguments[0])
        else:
            for link in links:
                ORDERS[word](link)
        print(len(links), sum(link.round_trips for link in links), flush=True)


if __name__ == "__main__":
    main()
