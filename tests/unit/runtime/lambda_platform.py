"""A Runtime API for tests: real sockets in the test's own loop, and every byte in the test's hands."""

import asyncio
import json
from collections import deque
from contextlib import asynccontextmanager


class Cut(bytes):
    """These bytes, and then the end of the connection."""


class Asked:
    """One request as it arrived."""

    def __init__(self, method, path, headers, body=b""):
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.chunks, self.trailers = [], None  # of a body in chunks; the trailers end it

    def __repr__(self):
        return f"{self.method} {self.path}"

    @property
    def json(self):
        return json.loads(self.body)


def answer(status=200, body=b"", **headers):
    lines = [f"HTTP/1.1 {status} Fine", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def event(request_id, body=b"{}", *, deadline_ms=4_000_000_000_000, **headers):
    return answer(
        body=body,
        Lambda_Runtime_Aws_Request_Id=request_id,
        Lambda_Runtime_Deadline_Ms=deadline_ms,
        **headers,
    )


async def until(condition):
    """Lets the loop turn until it is so."""
    while not condition():  # noqa: ASYNC110  what is waited for comes by way of the kernel
        await asyncio.sleep(0)


class Platform:
    """Answers `next` from a queue, and everything else by a function or with 202.

    What is queued may be bytes, a `Cut`, a list of these (written one by one), or a future of one of these.
    """

    def __init__(self):
        self.queue = deque()
        self.asked = []
        self.reads_on = None  # how many chunks are read before the answer; None: all
        self.connections = 0
        self.open = 0
        self.on_post = lambda request: answer(202, b'{"status":"OK"}')
        self._more = asyncio.Event()

    def put(self, *items):
        self.queue.extend(items)
        self._more.set()

    def posts(self, ending=""):
        return [item for item in self.asked if item.method == "POST" and item.path.endswith(ending)]

    async def posted(self, count):
        """Waits until so many posts have arrived."""
        await until(lambda: len(self.posts()) >= count)

    @asynccontextmanager
    async def listening(self):
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            host, port = server.sockets[0].getsockname()
            self.address = f"{host}:{port}"
            yield self
        finally:
            server.close()
            for task in asyncio.all_tasks():
                if task.get_name() == "platform":
                    task.cancel()
            await until(lambda: not self.open)

    async def _connected(self, reader, writer):
        asyncio.current_task().set_name("platform")
        self.connections += 1
        self.open += 1
        try:
            while True:
                request = await self._read(reader)
                if not await self._send(writer, await self._answer(request)):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _read(self, reader):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        request = Asked(method, path, headers)
        self.asked.append(request)
        if headers.get("transfer-encoding") == "chunked":
            await self._read_chunks(reader, request)
        else:
            request.body = await reader.readexactly(int(headers.get("content-length", 0)))
        return request

    async def _read_chunks(self, reader, request):
        while self.reads_on is None or len(request.chunks) < self.reads_on:
            size = int(await reader.readuntil(b"\r\n"), 16)
            if not size:
                break
            request.chunks.append((await reader.readexactly(size + 2))[:-2])
        else:
            return
        request.body = b"".join(request.chunks)
        trailers = {}
        while (line := (await reader.readuntil(b"\r\n")).strip()) != b"":
            name, _, value = line.decode().partition(": ")
            trailers[name.lower()] = value
        request.trailers = trailers

    async def _answer(self, request):
        if request.method == "POST":
            return self.on_post(request)
        while not self.queue:
            self._more.clear()
            await self._more.wait()
        item = self.queue.popleft()
        return await item if asyncio.isfuture(item) else item

    async def _send(self, writer, item):
        for piece in item if isinstance(item, list) else [item]:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
            if isinstance(piece, Cut):
                return False
        return True
