"""Log lines in the shapes that Lambda knows, and with the request id of the invocation that wrote them."""

import asyncio
import json
import logging
import os

import pytest

from warmkit.runtime import current, logs
from warmkit.runtime.failure import failure_of

VARIABLES = ("_LAMBDA_TELEMETRY_LOG_FD", "AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL")


@pytest.fixture
def set_up(monkeypatch):
    """Sets logging up for a function with these variables; afterwards all is as before."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)

    def begin(**variables):
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return logs.set_up()

    yield begin
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def frames():
    """A descriptor for frames, and a function that reads them back."""
    reading, writing = os.pipe()

    def read():
        data = os.read(reading, 1 << 16)
        found = []
        while data:
            length = int.from_bytes(data[4:8], "big")
            found.append((data[:4].hex(), data[16 : 16 + length].decode()))
            assert int.from_bytes(data[8:16], "big") > 1_700_000_000_000_000
            data = data[16 + length :]
        return found

    yield str(writing), read
    os.close(reading)
    os.close(writing)


def test_a_line_has_its_level_time_request_id_and_message(set_up, capsys):
    set_up()
    current.request_id.set("id-1")
    logging.getLogger("app").warning("hello %s", "world")
    logging.getLogger("app").info("not shown: the root logger stands at WARNING")
    level, moment, request_id, message = capsys.readouterr().out.split("\t")
    assert (level, request_id, message) == ("[WARNING]", "id-1", "hello world\n")
    assert len(moment) == len("2026-11-20T22:37:37.010Z")


def test_each_of_many_invocations_at_once_writes_its_own_request_id(set_up, capsys):
    set_up()

    async def invocation(number):
        current.request_id.set(f"id-{number}")
        for _ in range(5):
            await asyncio.sleep(0)
            logging.getLogger("app").warning("%s", number)

    async def main():
        await asyncio.gather(*[asyncio.create_task(invocation(n)) for n in range(20)])

    asyncio.run(main())
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 100
    assert [request_id for *_, request_id, number in lines if request_id != f"id-{number}"] == []


def test_json_lines_carry_what_the_record_carries(set_up, capsys):
    set_up(AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="DEBUG")
    current.request_id.set("id-1")
    current.tenant_id.set("tenant")
    try:
        raise_it()
    except ValueError:
        logging.getLogger("app").exception("it %s", "failed", extra={"order": 7})
    logging.getLogger("app").debug({"structured": True})
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first.pop("timestamp").endswith("Z")
    assert first.pop("stackTrace")[-1].endswith('    raise ValueError("no")\n')
    assert first.pop("location").startswith(__file__)
    assert first == {
        "level": "ERROR",
        "message": "it failed",
        "logger": "app",
        "requestId": "id-1",
        "tenantId": "tenant",
        "order": 7,
        "errorType": "ValueError",
        "errorMessage": "no",
    }
    assert (second["message"], second["level"]) == ({"structured": True}, "DEBUG")


@pytest.mark.parametrize(
    ("variables", "kinds"),
    [
        ({}, ["a55a0003", "a55a0003"]),
        ({"AWS_LAMBDA_LOG_LEVEL": "INFO"}, ["a55a0013", "a55a0017"]),
        ({"AWS_LAMBDA_LOG_FORMAT": "JSON"}, ["a55a0012", "a55a0016"]),
    ],
)
def test_frames_tell_their_kind_and_keep_lines_together(set_up, frames, variables, kinds):
    descriptor, read = frames
    set_up(_LAMBDA_TELEMETRY_LOG_FD=descriptor, **variables)
    assert "_LAMBDA_TELEMETRY_LOG_FD" not in os.environ
    logging.getLogger("app").warning("two\nlines")
    logging.getLogger("app").log(logging.ERROR + 5, "wrong")
    found = read()
    assert [kind for kind, _ in found] == kinds
    assert "two\nlines" in found[0][1] or "two\\nlines" in found[0][1]


def raise_it():
    raise ValueError("no")


def failed():
    try:
        raise_it()
    except ValueError as error:
        return failure_of(error)


def test_a_failure_is_one_log_event_of_several_lines(set_up, capsys):
    log = set_up()
    log.tell(failed())
    (line,) = capsys.readouterr().out.removesuffix("\n").split("\n")
    first, second, *rest = line.split("\r")
    assert (first, second) == ("[ERROR] ValueError: no", "Traceback (most recent call last):")
    assert rest[0].startswith('\u00a0\u00a0File "')


def test_a_failure_in_json_and_in_frames(set_up, frames, capsys):
    set_up(AWS_LAMBDA_LOG_FORMAT="JSON").tell(failed())
    told = json.loads(capsys.readouterr().out)
    assert (told["level"], told["errorType"], told["errorMessage"]) == ("ERROR", "ValueError", "no")
    descriptor, read = frames
    set_up(_LAMBDA_TELEMETRY_LOG_FD=descriptor).tell(failed())
    ((_, text),) = read()
    assert text.startswith("[ERROR] ValueError: no\nTraceback (most recent call last):\n  File")
