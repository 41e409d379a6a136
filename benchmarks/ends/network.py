"""The network between an execution environment and its database, as the database sees it when a microVM is destroyed.

When a process dies, its kernel tells the peers; when a microVM is destroyed, nobody does. So this relay passes on the
end of a connection only where the client has closed it: it has said goodbye (PostgreSQL's Terminate message), or its process
lives on.
"""

import asyncio
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

TERMINATE = b"X\0\0\0\4"
EXITING = 0x4  # PF_EXITING, of the flags in /proc/<pid>/stat: set before the kernel closes what the process held


class Network:
    """Passes connections on to the database, in a thread of its own.

    Args:
        host: Where the database listens.
        port: Its port.

    Attributes:
        port: The port to connect to instead.
        process: Whose connections these are.
    """

    def __init__(self, host: str, port: int) -> None:
        self._database = host, port
        self._lost: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = self.process = 0

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        for writer in self._lost:
            writer.close()
        await asyncio.sleep(0)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._database)
            answers = asyncio.create_task(self._answer(there, writer))
            if await self._ask(reader, back) or _lives(self.process):
                back.close()
            else:
                self._lost.append(back)
            await answers
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _ask(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> bool:
        """Passes on what the client says; returns whether it has said goodbye."""
        last = b""
        try:
            while data := await reader.read(65536):
                last = (last + data)[-len(TERMINATE) :]
                back.write(data)
        except ConnectionError:
            pass
        return last == TERMINATE

    async def _answer(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await there.read(65536):
                writer.write(data)
        except ConnectionError:
            pass
        writer.close()


def _lives(pid: int) -> bool:
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return state not in "ZX" and not int(fields[5]) & EXITING
