"""The runtime's process beside a platform that resets, drips, lies and goes away: it answers, logs, and ends."""

import json
import os
import queue
import re
import select
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parent / "functions"
PATIENCE = 60  # seconds: only a hang takes that long
MODES = ["1", "4"]
TAKEN = b'HTTP/1.1 202 Accepted\r\nContent-Length: 15\r\n\r\n{"status":"OK"}'


def event(request_id, body=b'"go"', **said):
    """An invocation as bytes; underscores in names are hyphens."""
    said = {
        "Lambda_Runtime_Aws_Request_Id": request_id,
        "Lambda_Runtime_Deadline_Ms": "4000000000000",
        "Lambda_Runtime_Invocation_Id": f"nonce-{request_id}",
        "Content_Type": "application/json",
        "Content_Length": len(body),
    } | said
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in said.items()]
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode("latin-1") + body


def says(status, body=b"oops"):
    return b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


# -- what is done to a connection that has asked; returns whether it goes on


def say(data):
    def do(connection):
        connection.sendall(data)
        return True

    return do


def drip(data, size=1):
    def do(connection):
        for begin in range(0, len(data), size):
            connection.sendall(data[begin : begin + size])
        return True

    return do


def reset(data=b""):
    def do(connection):
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    return do


def end(data=b""):
    def do(connection):
        connection.sendall(data)
        return False

    return do


def refuse_early(data):
    """Answers before the body was read, and reads none of it: see `Platform._read`."""
    do = reset(data)
    do.is_early = True
    return do


class Platform:
    """Real sockets; what is done to each `next` is in one list, and what to each post in another."""

    def __init__(self, gives, takes=()):
        self.gives, self.takes = queue.Queue(), queue.Queue()
        for item in gives:
            self.gives.put(item)
        for item in takes:
            self.takes.put(item)
        self.posts = queue.Queue()
        self._threads, self._connections = [], []

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._over, self._end = socket.socketpair()
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self._end.close()
        self.gives.put(None)
        for thread in self._threads:
            thread.join()
        self._over.close()
        self._listener.close()

    def go_away(self):
        """For ever: nobody listens any more, and what was open is reset."""
        self._listener.shutdown(socket.SHUT_RDWR)
        for connection in self._connections:
            with suppress(OSError):  # that one has gone before
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RDWR)

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _readable(self, this):
        return self._over not in select.select([this, self._over], [], [])[0]

    def _accept(self):
        while self._readable(self._listener):
            try:
                connection, _ = self._listener.accept()
            except OSError:  # gone away
                return
            self._connections.append(connection)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._serve, connection)

    def _serve(self, connection):
        with connection:
            try:
                while self._answer(connection):
                    pass
            except OSError:
                pass

    def _answer(self, connection):
        head = self._read(connection, lambda data: b"\r\n\r\n" in data)
        if head is None:
            return False
        head, _, body = head.partition(b"\r\n\r\n")
        if b"/extension/" in head:
            return say(says(403, b"InvalidExtensionState"))(connection)
        if head.startswith(b"GET"):
            do = self.gives.get(timeout=PATIENCE)
            self.gives.put(None) if do is None else None
            return do(connection) if do is not None else False
        do = self.takes.get() if not self.takes.empty() else say(TAKEN)
        if not hasattr(do, "is_early"):
            length = int(re.search(rb"Content-Length: (\d+)", head)[1])
            more = self._read(connection, lambda data: len(body) + len(data) >= length)
            if more is None:
                return False
            body += more
        _, path, *_ = head.decode("latin-1").split(" ")
        request_id, kind = path.split("/")[-2:]
        echo = re.search(rb"Lambda-Runtime-Invocation-Id: ([^\r]*)", head)
        self.posts.put((request_id, kind, body, echo and echo[1].decode("latin-1")))
        return do(connection)

    def _read(self, connection, whole):
        data = b""
        while not whole(data):
            if not self._readable(connection):
                return None
            more = connection.recv(1 << 20)
            if not more:
                return None
            data += more
        return data

    def posted(self):
        """Waits for a post."""
        return self.posts.get(timeout=PATIENCE)


@pytest.fixture
def beside():
    """Starts the runtime beside a platform; returns what ends it and what it wrote."""
    started = []

    def start(platform, concurrency, handler="hostile.handler", **variables):
        env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        env |= {"AWS_LAMBDA_RUNTIME_API": platform.address, "LAMBDA_TASK_ROOT": str(FUNCTIONS)}
        env |= {"AWS_LAMBDA_MAX_CONCURRENCY": concurrency, "PYTHONPATH": str(FUNCTIONS.parents[2])}
        env |= variables
        process = subprocess.Popen(
            [sys.executable, "-m", "warmkit.runtime", handler],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ended(process):
    output, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, output.splitlines()


BREAKING = {
    "reset": reset(),
    "end": end(),
    "reset in the head": reset(event("lost")[:40]),
    "end in the body": end(event("lost")[:-2]),
    "garbage": end(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "status 429": say(says(429)),
    "status 503": say(says(503)),
    "no id": say(event("")),
    "two ids": say(event("a\r\nLambda-Runtime-Aws-Request-Id: b")),
    "a path": say(event("../../2020-01-01/extension/register")),
    "a split request": say(event("a HTTP/1.1\tX: y")),
    "no deadline": say(event("lost", Lambda_Runtime_Deadline_Ms="soon")),
    "a line of 2 MB": end(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * (2 << 20)),
    "100 MB": end(event("lost", Content_Length=100 << 20) + b"x" * (70 << 20)),
}


@pytest.mark.parametrize("concurrency", MODES)
@pytest.mark.parametrize("fault", BREAKING)
def test_next_that_brings_nothing_is_asked_again_with_one_line_in_the_log(
    beside, concurrency, fault
):
    with Platform([BREAKING[fault], say(event("id-1"))]) as platform:
        process = beside(platform, concurrency)
        request_id, kind, _, echo = platform.posted()
        assert (request_id, kind, echo) == ("id-1", "response", "nonce-id-1")
        assert "no invocation could be taken, asking again: " in process.stdout.readline()
        process.terminate()
        assert (*ended(process), platform.posts.qsize()) == (0, [], 0)


GOING_ON = {
    "in single bytes": drip(event("id-1")),
    "interim answers": say(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 3 + event("id-1")),
    "in chunks": say(
        event("id-1", Content_Length="4\r\nX: y").replace(
            b'Content-Length: 4\r\nX: y\r\n\r\n"go"',
            b'Transfer-Encoding: chunked\r\n\r\n2\r\n"g\r\n2\r\no"\r\n0\r\n\r\n',
        )
    ),
    "a connection that ends": end(event("id-1", Connection="close")),
    "a connection that ends unsaid": end(event("id-1")),
    "a connection that is reset": reset(event("id-1")),
    "another answer behind it": say(event("id-1") + event("evil")),
}


@pytest.mark.parametrize("concurrency", MODES)
@pytest.mark.parametrize("way", GOING_ON)
def test_in_whatever_way_an_event_comes_it_is_answered_once(beside, concurrency, way):
    with Platform([GOING_ON[way], say(event("id-2"))]) as platform:
        process = beside(platform, concurrency)
        assert {platform.posted()[0], platform.posted()[0]} == {"id-1", "id-2"}
        process.terminate()
        assert ended(process)[0] == 0
        assert platform.posts.qsize() == 0


@pytest.mark.parametrize("concurrency", MODES)
def test_a_large_event_is_taken_and_a_dripping_one_too(beside, concurrency):
    large = json.dumps({"large": "x" * (20 << 20)}).encode()
    with Platform([drip(event("id-1", large), 100_000)]) as platform:
        beside(platform, concurrency)
        assert json.loads(platform.posted()[2]) == {"id": "id-1", "bytes": 20 << 20}


@pytest.mark.parametrize("concurrency", MODES)
def test_an_event_that_is_no_utf_8_fails_alone(beside, concurrency):
    latin = event(
        "id-1", '"caf\u00e9"'.encode("latin-1"), Content_Type="application/json; charset=latin-1"
    )
    with Platform([say(latin), say(event("id-2"))]) as platform:
        beside(platform, concurrency)
        posts = {item[0]: item for item in (platform.posted(), platform.posted())}
    assert json.loads(posts["id-1"][2])["errorType"] == "Runtime.UnmarshalError"
    assert posts["id-2"][1] == "response"


ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("concurrency", MODES)
@pytest.mark.parametrize("locale", [{}, ASCII], ids=["utf-8", "ascii"])
def test_headers_with_any_characters_are_taken_and_echoed(beside, concurrency, locale):
    said = {
        "Lambda_Runtime_Invocation_Id": "n\u00f6nce\xff ",
        "Lambda_Runtime_Trace_Id": "Root=\xe9\xff;\u00b5",
        "Lambda_Runtime_Aws_Tenant_Id": "t\xe9nant",
        "Lambda_Runtime_Deadline_Ms": "9" * 18,
    }
    with Platform([say(event("id-1", b'"fail"', **said)), say(event("id-2", **said))]) as platform:
        beside(platform, concurrency, **locale)
        posts = {item[0]: item for item in (platform.posted(), platform.posted())}
    assert (posts["id-1"][1], posts["id-2"][1]) == ("error", "response")
    assert {item[3].strip() for item in posts.values()} == {"n\u00f6nce\xff"}


# -- answers


BROKEN_POSTS = {
    "reset before": ([reset()], "sent again"),
    "end before": ([end()], "sent again"),
    "taken, and the answer lost": ([reset(TAKEN[:20]), say(says(400))], "sent again"),
    "nobody knows": ([reset(), reset()], "not known"),
    "400": ([say(says(400, b"InvalidRequestID"))], "not taken: 400 InvalidRequestID"),
    "403": ([say(says(403, b"InvalidStateTransition"))], "not taken: 403 Inv"),
    "410": ([say(says(410, b"InvokeTimeout"))], "not taken: 410 InvokeTimeout"),
    "413": ([say(says(413, b"RequestEntityTooLarge"))], "not taken: 413 RequestEntityTooLarge"),
    "429": ([say(says(429))], "not taken: 429"),
}


@pytest.mark.parametrize("concurrency", MODES)
@pytest.mark.parametrize("fault", BROKEN_POSTS)
def test_whatever_becomes_of_an_answer_is_told_and_the_next_is_served(beside, concurrency, fault):
    takes, told = BROKEN_POSTS[fault]
    with Platform([say(event("id-1"))], takes) as platform:
        process = beside(platform, concurrency)
        for _ in takes:
            assert platform.posted()[0] == "id-1"
        if fault in {"reset before", "end before"}:
            assert platform.posted()[0] == "id-1"
        platform.gives.put(say(event("id-2")))
        assert platform.posted()[0] == "id-2"
        process.terminate()
        status, lines = ended(process)
    assert status == 0
    assert told in lines[-1]
    assert len(lines) == (2 if fault == "nobody knows" else 1), lines


@pytest.mark.parametrize("concurrency", MODES)
def test_what_is_refused_before_it_was_read_is_told(beside, concurrency):
    refusal = refuse_early(says(413, b"RequestEntityTooLarge"))
    with Platform([say(event("id-1")), say(event("id-2"))], [refusal]) as platform:
        process = beside(platform, concurrency, "hostile.large")
        assert {platform.posted()[0], platform.posted()[0]} >= {"id-1"}
        process.terminate()
        status, lines = ended(process)
    assert status == 0
    assert "413 RequestEntityTooLarge" in lines[0] or "sent again" in lines[0]


# -- the end


@pytest.mark.parametrize("concurrency", MODES)
def test_a_platform_that_goes_away_for_ever_ends_the_process_which_says_why(beside, concurrency):
    with Platform([say(event("id-1"))]) as platform:
        process = beside(platform, concurrency)
        platform.posted()
        platform.go_away()
        status, lines = ended(process)
    assert status == 1
    assert "the Runtime API gives no invocations: " in lines[-1]


@pytest.mark.parametrize("concurrency", MODES)
def test_a_platform_that_gives_errors_for_ever_ends_the_process(beside, concurrency):
    with Platform([say(says(500, b"container error"))] * 30) as platform:
        status, lines = ended(beside(platform, concurrency))
    assert status == 1
    assert "the Runtime API gives no invocations: 500 container error" in lines[-1]


def test_a_platform_that_says_it_is_broken_ends_the_process(beside):
    with Platform([say(event("id-1"))], [say(says(500, b"container error"))]) as platform:
        status, lines = ended(beside(platform, "1"))
    assert status == 1
    assert "the Runtime API is broken: 500 container error" in lines[-1]


@pytest.mark.parametrize("what", [reset(), say(says(500)), say(says(403)), end(b"\0\0")])
def test_a_failure_of_the_init_phase_ends_the_process_whatever_the_platform_says(beside, what):
    with Platform([], [what, what]) as platform:
        status, lines = ended(beside(platform, "1", "absent.handler"))
    assert status == 1
    assert not any("Traceback" in line for line in lines), lines
