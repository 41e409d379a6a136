"""One HTTP exchange at a time: whatever the peer sends, there is an answer or an error, and never a hang."""

import asyncio
import contextlib
import select
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_platform import Cut, Platform, answer, event, until

from warmkit.runtime import http, lines
from warmkit.runtime.http import ExchangeError, Parser, Request
from warmkit.runtime.lines import BlockingLine, LoopLine, at_once

GET = Request("GET", "/x")


def talk(scenario, *items):
    """Runs a scenario against a platform that answers each request with the next item."""

    async def main():
        async with Platform().listening() as platform:
            platform.put(*items)
            line = LoopLine(platform.address)
            try:
                return await scenario(line, platform)
            finally:
                line.close()

    return asyncio.run(main())


async def once(line, platform):
    return await line.exchange(GET)


def test_an_answer_has_status_headers_in_lower_case_and_body():
    came = talk(once, answer(418, b"short", X_Kind="Teapot"))
    assert (came.status, came.body) == (418, b"short")
    assert came.headers() == {b"content-length": b"5", b"x-kind": b"Teapot"}


def test_a_request_is_sent_with_its_headers_and_the_length_of_its_body():
    async def scenario(line, platform):
        await line.exchange(Request("POST", "/here", {"X-Kind": "Cup"}, b"tea"))
        await line.exchange(Request("POST", "/empty"))
        return platform

    platform = talk(scenario)
    assert [(item.path, item.headers["content-length"], item.body) for item in platform.asked] == [
        ("/here", "3", b"tea"),
        ("/empty", "0", b""),
    ]
    assert platform.asked[0].headers["host"] == platform.address
    assert platform.asked[0].headers["x-kind"] == "Cup"


def test_one_connection_serves_many_exchanges():
    async def scenario(line, platform):
        for _ in range(5):
            await line.exchange(GET)
        return platform.connections

    assert talk(scenario, *[answer()] * 5) == 1


@pytest.mark.parametrize("ending", [answer(Connection="close"), Cut()])
def test_a_connection_that_has_ended_is_opened_anew(ending):
    async def scenario(line, platform):
        try:
            await line.exchange(GET)
        except ExchangeError:
            assert ending == Cut()
        return await line.exchange(GET), platform.connections

    (status, _, body), connections = talk(scenario, ending, answer(body=b"again"))
    assert (status, body, connections) == (200, b"again", 2)


def test_a_connection_that_the_peer_closed_while_it_was_idle_is_opened_anew():
    async def scenario(line, platform):
        await line.exchange(GET)
        for task in asyncio.all_tasks():
            if task.get_name() == "platform":
                task.cancel()
        await until(lambda: line._wire.is_over)
        return await line.exchange(GET)

    assert talk(scenario, answer(), answer(body=b"again")).body == b"again"


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
)


@given(
    data=st.data(), message=st.sampled_from([CHUNKED, answer(body=b"hello world", X_Kind="Cup")])
)
def test_an_answer_may_arrive_in_any_pieces(data, message):
    cuts = sorted(data.draw(st.sets(st.integers(1, len(message) - 1), max_size=6)))
    pieces = [message[a:b] for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True)]
    assert talk(once, pieces).body == b"hello world"


@given(kept=st.integers(0, len(CHUNKED) - 1))
def test_an_answer_that_ends_too_early_is_an_error(kept):
    with pytest.raises(ExchangeError, match="lost"):
        talk(once, Cut(CHUNKED[:kept]))


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nxx",
    ],
)
def test_what_is_no_answer_is_an_error(said):
    with pytest.raises(ExchangeError, match="no HTTP"):
        talk(once, said)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_make_it_hang_or_crash(said):
    """The peer ends the connection after them: an answer or our error, whatever they were."""
    with contextlib.suppress(ExchangeError):
        assert talk(once, Cut(said)).status >= 200


def test_an_announcement_is_not_the_answer():
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n"
    came = talk(once, [early, answer(201, X_Late="1")])
    assert (came.status, came.body) == (201, b"")
    assert came.headers() == {b"content-length": b"0", b"x-late": b"1"}


ENDLESS = {
    "headers": [b"HTTP/1.1 200 Fine\r\n", b"X-More: and more\r\n"],
    "announcements": [b"", b"HTTP/1.1 100 Continue\r\n\r\n"],
    "one header": [b"HTTP/1.1 200 Fine\r\nX-Long: ", b"and longer"],
    "body": [b"HTTP/1.1 200 Fine\r\nContent-Length: 99999999\r\n\r\n", b"and more"],
    "chunks": [b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"],
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_answer_without_end_is_cut_off(kind, monkeypatch):
    monkeypatch.setattr(http, "MAX_HEADERS", 300)
    monkeypatch.setattr(http, "MAX_BODY", 1000)
    first, more = ENDLESS[kind]
    parser = Parser()
    assert parser.feed(first) is None
    limit = "1000 bytes of body" if kind in {"body", "chunks"} else "300 bytes of headers"
    with pytest.raises(ExchangeError, match=f"more than {limit}"):
        assert not any(map(parser.feed, [more] * 2000))


def test_what_is_said_twice_is_joined():
    twice = answer(X_Kind="Cup").replace(b"X-Kind: Cup", b"X-Kind: Cup\r\nx-kind: Pot")
    assert talk(once, twice).headers()[b"x-kind"] == b"Cup, Pot"


def test_what_is_said_unasked_ends_the_connection():
    async def scenario(line, platform):
        first = await line.exchange(GET)
        await until(lambda: line._wire.is_over)
        return first.body, (await line.exchange(GET)).body, platform.connections

    assert talk(scenario, [answer(body=b"1"), answer(body=b"unasked")], answer(body=b"2")) == (
        b"1",
        b"2",
        2,
    )


def test_a_cancelled_exchange_leaves_no_answer_for_the_next_one():
    async def scenario(line, platform):
        late = asyncio.get_running_loop().create_future()
        platform.put(late)
        waiting = asyncio.create_task(line.exchange(GET))
        await until(lambda: platform.asked)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        late.set_result(answer(body=b"late"))
        platform.put(answer(body=b"next"))
        return (await line.exchange(GET)).body, platform.connections

    assert talk(scenario) == (b"next", 2)


@pytest.mark.parametrize("kind", [LoopLine, BlockingLine])
def test_a_peer_that_is_not_there_is_an_os_error(kind):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        line = kind(f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ConnectionRefusedError):
            asyncio.run(line.exchange(GET))


# -- where no loop runs


class Elsewhere:
    """A platform in a thread of its own, and a blocking line to it."""

    def __init__(self, *items):
        self._items = items
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        self._loop.run_until_complete(self._listen())
        self._loop.close()

    async def _listen(self):
        async with Platform().listening() as self.platform:
            self.platform.put(*self._items)
            self._ready.set()
            await self._over.wait()

    def __enter__(self):
        self._thread.start()
        self._ready.wait()
        self.line = BlockingLine(self.platform.address)
        return self

    def __exit__(self, *_):
        self.line.close()
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def late(self):
        """Returns a future of the platform's loop."""
        return asyncio.Future(loop=self._loop)

    def let_go(self, late, item):
        self._loop.call_soon_threadsafe(late.set_result, item)

    def exchange(self, **options):
        return at_once(self.line.exchange(GET, **options))


@pytest.mark.parametrize(
    "pieces", [CHUNKED, [CHUNKED[:7], CHUNKED[7:60], CHUNKED[60:]], answer(body=b"hello world")]
)
def test_a_blocking_line_has_one_connection_for_many_exchanges(pieces):
    with Elsewhere(pieces, pieces, pieces) as there:
        assert [there.exchange().body for _ in range(3)] == [b"hello world"] * 3
        assert there.platform.connections == 1


@pytest.mark.parametrize("said", [Cut(), Cut(CHUNKED[:30]), b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_a_blocking_line_is_opened_anew_after_what_is_no_answer(said):
    with Elsewhere(said, answer(body=b"again")) as there:
        with pytest.raises(ExchangeError):
            there.exchange()
        assert (there.exchange().body, there.platform.connections) == (b"again", 2)


@pytest.mark.parametrize(
    "first",
    [
        answer(body=b"1", Connection="close"),
        [answer(body=b"1"), b"HTTP/1.1 200 unasked"],
        Cut(answer(body=b"1")),
    ],
)
def test_a_blocking_line_takes_nothing_for_the_answer_that_was_there_before(first):
    with Elsewhere(first, answer(body=b"2")) as there:
        assert there.exchange().body == b"1"
        pipe = there.line._pipe
        if pipe is not None:
            select.select([pipe._socket], [], [])  # what was said unasked, or the end, has arrived
        assert (there.exchange().body, there.platform.connections) == (b"2", 2)


DRIP = [b"HTTP/1.1 200 OK\r\nX-Drip: ", *[b"drop"] * 100_000]


@pytest.mark.parametrize("said", [b"", [b"HTTP/1.1 200 OK\r\n"], DRIP])
@pytest.mark.parametrize("kind", [BlockingLine, LoopLine])
def test_a_line_waits_no_longer_than_it_may(kind, said):
    with Elsewhere(said, answer(body=b"2")) as there:
        line = kind(there.platform.address)

        async def scenario():
            with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
                await line.exchange(GET, limit=0.05)
            body = (await line.exchange(GET)).body
            line.close()
            return body

        assert asyncio.run(scenario()) == b"2"
        assert there.platform.connections == 2


def test_a_blocking_line_that_had_a_limit_waits_without_one_however_long():
    with Elsewhere() as there:
        late = there.late()
        there.platform.put(answer(body=b"1"), late)
        assert there.exchange(limit=0.01).body == b"1"
        pipe = there.line._pipe
        waits = []

        class Socket:
            """Lets the answer go once the kernel's limit has passed."""

            def recv(self, size):
                try:
                    return real.recv(size)
                except BlockingIOError:
                    if not waits:
                        there.let_go(late, answer(body=b"2"))
                    waits.append("again")
                    raise

            def send(self, message):
                return real.send(message)

            def close(self):
                real.close()

        real, pipe._socket = pipe._socket, Socket()
        assert there.exchange().body == b"2"
        assert waits


@pytest.mark.parametrize("kind", [BlockingLine, LoopLine])
@pytest.mark.parametrize("said", [[event("id")[:30]], [event("id")[:-1]], DRIP])
def test_an_answer_that_has_begun_must_end(kind, said, monkeypatch):
    """Its beginning has no limit, as the environment may be frozen; what was begun is on its way."""
    monkeypatch.setattr(lines, "REST", 0.05)
    with Elsewhere(said, answer(body=b"2")) as there:
        line = kind(there.platform.address)

        async def scenario():
            with pytest.raises(OSError, match="the answer stopped in the middle"):
                await line.exchange(GET)
            body = (await line.exchange(GET)).body
            line.close()
            return body

        assert asyncio.run(scenario()) == b"2"


@pytest.mark.parametrize("kind", [BlockingLine, LoopLine])
def test_an_answer_that_comes_before_the_end_of_the_request_is_taken(kind, caplog):
    """The peer reads no more of it then, so nothing else can be sent on that connection."""
    with socket.create_server(("127.0.0.1", 0)) as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line = kind(f"127.0.0.1:{peer.getsockname()[1]}")

        def refuse():
            for said in (b"413 Large", b"200 Fine"):
                connection, _ = peer.accept()
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 " + said + b"\r\nContent-Length: 0\r\n\r\n")
                if kind is BlockingLine:  # the other one reads while it sends
                    connection.close()
                else:
                    kept.append(connection)

        async def scenario():
            large = await line.exchange(Request("POST", "/x", {}, bytes(1 << 24)), limit=30)
            other = await line.exchange(GET)
            line.close()
            return large.status, other.status

        kept = []
        refusing = threading.Thread(target=refuse)
        refusing.start()
        assert asyncio.run(scenario()) == (413, 200)
        refusing.join()
        for connection in kept:
            connection.close()


@pytest.mark.parametrize("kind", [BlockingLine, LoopLine])
@pytest.mark.parametrize("when", ["at once", "later"])
def test_what_is_said_unasked_is_logged_and_an_end_is_not(kind, when, caplog):
    taken, fine = threading.Event(), answer(body=b"1")

    def speak():
        for more in (b"HTTP/1.1 2", b"", b""):
            connection, _ = peer.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(fine + more if when == "at once" else fine)
                taken.wait()
                taken.clear()
                if more and when == "later":
                    connection.sendall(more)
                    with contextlib.suppress(OSError):
                        connection.recv(1)  # until it is dropped

    async def noticed(line):
        taken.set()
        if kind is LoopLine:
            await until(lambda: line._wire.is_over)
        elif line._pipe is not None:
            select.select([line._pipe._socket], [], [])

    async def scenario():
        line = kind(f"127.0.0.1:{peer.getsockname()[1]}")
        for _ in range(3):
            await line.exchange(GET)
            await noticed(line)
        line.close()

    with socket.create_server(("127.0.0.1", 0)) as peer:
        speaking = threading.Thread(target=speak)
        speaking.start()
        asyncio.run(scenario())
        speaking.join()
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "the platform spoke unasked"
    ]


def test_a_large_request_is_sent_whole_to_a_peer_that_reads_slowly():
    with Elsewhere(answer(body=b"2")) as there:
        body = bytes(range(256)) * 40_000
        assert at_once(there.line.exchange(Request("POST", "/x", {}, body), limit=30)).status == 202
        assert there.platform.posts()[0].body == body


def test_a_peer_that_reads_nothing_is_not_waited_for_for_ever():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        line = BlockingLine(f"127.0.0.1:{deaf.getsockname()[1]}")
        with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s"):
            at_once(line.exchange(Request("POST", "/x", {}, bytes(1 << 24)), limit=0.01))


def test_a_coroutine_that_suspends_is_not_run_at_once():
    work = asyncio.sleep(1)
    with pytest.raises(RuntimeError, match="no running event loop"):
        at_once(work)

    async def suspend():
        await asyncio.Future(loop=loop)

    loop = asyncio.new_event_loop()
    suspending = suspend()
    with pytest.raises(AssertionError, match="it suspended"):
        at_once(suspending)
    suspending.close()
    loop.close()
