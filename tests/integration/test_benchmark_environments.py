"""What the benchmark of reuse stands on: environments that freeze, clocks that jump, wires that lose connections."""

import os
import select
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from children import gone

from benchmarks.parts.sandbox import Sandbox
from benchmarks.parts.wire import Wire

PATIENCE = 15.0
"""Seconds for an answer: only a bug takes that long."""

HANDLERS = """
import asyncio
import time

loop = asyncio.new_event_loop()
fired = []


def clocks(event, context):
    return [time.time(), time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME), loop.time()]


def timer(event, context):
    if event == "set":
        loop.call_later(300, fired.append, True)
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    return len(fired)


def fails(event, context):
    raise ValueError(event)
"""


@pytest.fixture
def sandbox(tmp_path):
    (tmp_path / "handlers_of_a_test.py").write_text(HANDLERS)
    started = []

    def start(handler):
        env = os.environ | {"PYTHONPATH": str(tmp_path)}
        started.append(Sandbox(f"handlers_of_a_test:{handler}", env))
        return started[-1]

    yield start
    for item in started:
        item.close()


def test_all_clocks_of_a_process_are_set_forward_together(sandbox):
    clocks = sandbox("clocks")
    before = clocks.call(None)
    after = clocks.call(None, later=400)
    again = clocks.call(None)
    assert all(b - a >= 400 for a, b in zip(before.value, after.value, strict=True))
    assert all(0 <= b - a < 400 for a, b in zip(after.value, again.value, strict=True))
    assert after.ms < 400_000  # what measures is not set forward


def test_a_timer_of_the_event_loop_is_due_when_the_clocks_say_so(sandbox):
    timer = sandbox("timer")
    assert timer.call("set").value == 0
    assert timer.call("look", later=200).value == 0
    assert timer.call("look", later=200).value == 1


def test_what_a_handler_raises_is_told(sandbox):
    called = sandbox("fails").call("no such order")
    assert (called.value, called.error) == (None, "ValueError: no such order")


def test_a_frozen_process_stands_still_until_it_is_thawed(sandbox):
    clocks = sandbox("clocks")
    clocks.call(None)
    process = psutil.Process(clocks.pid)
    clocks.freeze()
    assert process.status() == psutil.STATUS_STOPPED
    clocks.thaw()
    assert clocks.call(None).error == ""


OWNER = """
import os, sys, time
from benchmarks.parts.sandbox import Sandbox

sandbox = Sandbox("time:time", os.environ)
sandbox.call(None)
sandbox.freeze()
print(sandbox.pid, flush=True)
time.sleep(600)
"""


def test_a_frozen_process_does_not_outlive_an_owner_that_is_killed():
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    process = psutil.Process(int(owner.stdout.readline()))
    owner.kill()
    owner.communicate()
    assert gone([process])


@pytest.fixture
def echo():
    """A server that sends back what it receives."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection):
        with connection:
            try:
                while data := connection.recv(1024):
                    connection.sendall(data)
            except ConnectionResetError:
                pass

    def listen():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    listening = threading.Thread(target=listen)
    listening.start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    listening.join()


@pytest.fixture
def wire(echo):
    with Wire(echo) as wire:
        yield wire


@pytest.fixture
def client(wire):
    with socket.create_connection(("127.0.0.1", wire.port), PATIENCE) as client:
        assert ask(client) == b"?"
        yield client


def ask(client):
    client.sendall(b"?")
    return client.recv(1)


def is_quiet(client):
    return not select.select([client], [], [], 0)[0]


def test_a_connection_that_is_cut_shows_it_unasked(wire, client):
    wire.cut()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_a_forgotten_connection_is_quiet_until_somebody_speaks(wire, client):
    wire.forget()
    assert is_quiet(client)
    with pytest.raises(ConnectionResetError):
        ask(client)


def test_what_is_swallowed_is_never_answered_but_on_a_new_connection(wire, client):
    wire.swallow()
    client.sendall(b"?")
    with socket.create_connection(("127.0.0.1", wire.port), PATIENCE) as another:
        assert ask(another) == b"?"
    assert is_quiet(client)
    assert wire.seen() == (2, 2)
