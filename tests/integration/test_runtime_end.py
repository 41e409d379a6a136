"""The end of a process of warmkit's runtime: whenever SIGTERM comes, what is open is closed, and the status is 0."""

import os
import queue
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parent / "functions"
PATIENCE = 30  # seconds: only a hang takes that long


class Platform(BaseHTTPRequestHandler):
    """A Runtime API that hands out what a test puts into a queue."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.endswith("/event/next"):  # of the extension: never answered
            self.server.over.wait(PATIENCE)
            self.close_connection = True
            return
        self.server.asked.put(self.path)
        body = self.server.events.get(timeout=PATIENCE)
        if body is None:
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Lambda-Runtime-Aws-Request-Id", "id-1")
        self.send_header("Lambda-Runtime-Deadline-Ms", "4000000000000")
        self.answer(body)

    def do_POST(self):
        size = self.headers["Content-Length"]
        body = self.rfile.read(int(size)) if size else b"".join(self.chunks())
        if self.path.endswith("/register"):
            self.send_response(200)
            self.send_header("Lambda-Extension-Identifier", "some-id")
        else:
            self.server.posted.put((self.path.rpartition("/")[2], body))
            self.send_response(202)
        self.answer(b"{}")

    def chunks(self):
        """Yields each chunk, and the trailers."""
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size + 2)[:-2]
        while (trailer := self.rfile.readline().strip()) != b"":
            yield trailer

    def answer(self, body):
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def platform():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Platform)
    server.asked, server.events, server.posted = queue.Queue(), queue.Queue(), queue.Queue()
    server.over = threading.Event()
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.over.set()
    for _ in range(64):
        server.events.put(None)
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def runtime(platform):
    """Starts the runtime with a handler; it ends with the test."""
    started = []

    def start(handler, **variables):
        host, port = platform.server_address
        env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | variables
        env |= {"AWS_LAMBDA_RUNTIME_API": f"{host}:{port}", "LAMBDA_TASK_ROOT": str(FUNCTIONS)}
        env["PYTHONPATH"] = os.pathsep.join([str(FUNCTIONS.parents[2]), str(FUNCTIONS)])
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
    return process.returncode, output.split()


def after(process, word):
    """Reads on until the function has said the word; returns all words up to it."""
    words = []
    while not words or words[-1] != word:
        line = process.stdout.readline()
        assert line, words
        words += line.split()
    return words


MODES = [("waiting", {}), ("blocking", {}), ("waiting", {"AWS_LAMBDA_MAX_CONCURRENCY": "4"})]


@pytest.mark.parametrize(("handler", "variables"), MODES)
def test_while_idle(platform, runtime, handler, variables):
    process = runtime(f"ending.{handler}", **variables)
    platform.events.put(b'"go"')
    assert after(process, "left") == ["open", "begun", "left"]
    assert platform.posted.get(timeout=PATIENCE) == ("response", b'"connection"')
    for _ in range(1 + int(variables.get("AWS_LAMBDA_MAX_CONCURRENCY", "1"))):
        platform.asked.get(timeout=PATIENCE)  # it waits for the next invocation
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (0, ["closed"])


AND_BEYOND = [
    *MODES,
    ("streaming", {}),
    ("afterwards", {}),
    ("afterwards", {"AWS_LAMBDA_MAX_CONCURRENCY": "4"}),
]


@pytest.mark.parametrize(("handler", "variables"), AND_BEYOND)
def test_in_the_middle_of_a_call(platform, runtime, handler, variables):
    process = runtime(f"ending.{handler}", **variables)
    platform.events.put(b'"wait"')
    assert after(process, "begun") == ["open", "begun"]
    process.send_signal(signal.SIGTERM)
    status, words = ended(process)
    assert (status, words[-1], words.count("closed")) == (0, "closed", 1)
    assert "left" in words[:-1]  # the handler, before what it held was closed


def test_in_the_init_phase(runtime):
    assert ended(runtime("ending.waiting", END_IN_INIT="1")) == (
        0,
        ["open", "begun", "left", "closed"],
    )


def test_before_the_first_invocation(platform, runtime):
    process = runtime("ending.waiting")
    platform.asked.get(timeout=PATIENCE)
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (0, [])


def test_a_close_that_fails_changes_nothing_of_the_end(platform, runtime):
    process = runtime("ending.failing_close")
    platform.events.put(b"null")
    assert platform.posted.get(timeout=PATIENCE) == ("response", b'"connection"')
    platform.asked.get(timeout=PATIENCE)
    platform.asked.get(timeout=PATIENCE)
    process.send_signal(signal.SIGTERM)
    status, words = ended(process)
    assert status == 0
    assert "Traceback" not in words
    assert "stubborn" in words


@pytest.mark.parametrize("concurrency", ["1", "3"])
def test_what_exits_in_a_task_ends_nobody(platform, runtime, concurrency):
    process = runtime("ending.exiting", AWS_LAMBDA_MAX_CONCURRENCY=concurrency)
    for event in (b'"exit"', b'"go"', b'"go"'):
        platform.events.put(event)
        kind, body = platform.posted.get(timeout=PATIENCE)
        assert (kind, body) == ("response", b'"fine"') if event == b'"go"' else kind == "error"
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 0


HARD = [
    "surrogate",
    "no_text",
    "no_folder",
    "stop_iteration",
    "cancels_itself",
    "cancels_later",
    "stops_the_loop",
]


@pytest.mark.parametrize("handler", HARD)
@pytest.mark.parametrize("concurrency", ["1", "2"])
def test_every_invocation_is_answered_whatever_its_handler_does(
    platform, runtime, handler, concurrency
):
    runtime("hard.handler", AWS_LAMBDA_MAX_CONCURRENCY=concurrency)
    for _ in range(3):  # more than there are pollers
        platform.events.put(f'"{handler}"'.encode())
        assert platform.posted.get(timeout=PATIENCE)[0] in {"error", "response"}
        platform.events.put(b'"go"')
        assert platform.posted.get(timeout=PATIENCE) == ("response", b'"fine"')
