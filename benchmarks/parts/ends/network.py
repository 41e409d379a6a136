"""The network between an execution environment and its database, as the database sees it when a microVM is destroyed.

When a process dies, its kernel tells the peers; when a microVM is destroyed, nobody does. So this relay passes on the
end of a connection only where the client has closed it: it has said goodbye (PostgreSQL's Terminate message), or its process
lives on.
"""

import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

TERMINATE = b"X\0\0\0\4"
EXITING = 0x4
"""PF_EXITING, of the flags in /proc/<pid>/stat: set before the kernel closes what the process held."""


class Network:
    """Passes connections on to the database, with two threads for each.

    Args:
        host: Where the database listens.
        port: Its port.

    Attributes:
        port: The port to connect to instead.
        process: Whose connections these are.
    """

    def __init__(self, host: str, port: int) -> None:
        self._database = host, port
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.process = 0

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for item in [self._listener, *self._sockets]:
            _end(item, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for item in [self._listener, *self._sockets]:
            item.close()

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is shut down
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._database)
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._sockets.append(end)
                self._start(self._ask, client, server)
                self._start(self._answer, server, client)

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        last = b""
        with suppress(OSError):
            while data := client.recv(65536):
                last = (last + data)[-len(TERMINATE) :]
                server.sendall(data)
        if last == TERMINATE or _lives(self.process):
            _end(server, socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        _end(client, socket.SHUT_WR)


def _end(connection: socket.socket, how: int) -> None:
    with suppress(OSError):
        connection.shutdown(how)


def _lives(pid: int) -> bool:
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return state not in "ZX" and not int(fields[5]) & EXITING
