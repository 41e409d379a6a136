"""The registration of the internal extension: what it says, whatever the platform answers."""

import os
import socket
import threading

import pytest

from warmkit.hosts import extension

GRANTED = (
    b"HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: some-id\r\nContent-Length: 2\r\n\r\n{}",
)


@pytest.fixture
def platform(monkeypatch):
    """Accepts one connection, answers it with the pieces, and keeps what it was told."""
    monkeypatch.setattr(extension, "_asking", [])
    told, threads = [], []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(pieces):
            connection, _ = listener.accept()
            connection.settimeout(60)  # only a failing test leaves it waiting
            with connection:
                told.append(connection.recv(4096))
                for piece in pieces:
                    connection.sendall(piece)
                if pieces:
                    told.append(connection.recv(4096))

        def answering(*pieces):
            threads.append(threading.Thread(target=serve, args=[pieces]))
            threads[-1].start()
            return f"127.0.0.1:{listener.getsockname()[1]}"

        answering.told = told
        yield answering
        for descriptor in extension._asking:
            os.close(descriptor)
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("pieces", [GRANTED, [bytes([byte]) for byte in GRANTED[0]]])
def test_it_registers_for_no_events_and_asks_for_the_next_one(platform, caplog, pieces):
    address = platform(*pieces)
    assert extension.register(address) == "granted"
    os.close(extension._asking.pop())
    platform_heard = []
    while len(platform_heard) < 2:
        platform_heard = list(platform.told)
    asked, waits = platform_heard
    assert asked == (
        b"POST /2020-01-01/extension/register HTTP/1.1\r\nHost: %s\r\nContent-Length: 14\r\n"
        b'Lambda-Extension-Name: warmkit-orderly-shutdown\r\n\r\n{"events": []}' % address.encode()
    )
    assert waits == (
        b"GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n"
        b"Lambda-Extension-Identifier: some-id\r\n\r\n" % address.encode()
    )
    assert caplog.records == []


def refusal(kind):
    body = b'{"errorType":"Extension.%s"}' % kind
    return b"HTTP/1.1 403 Forbidden\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refusal(b"RegistrationClosed"), "Extension.RegistrationClosed"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "200 "),
        (b"HTTP/1.1 500 Error\r\n\r\n", "500 "),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "invalid literal"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "many"),
        (b"", "the connection was lost"),
    ],
)
def test_whatever_else_is_answered_is_told_once_and_fails_nothing(platform, caplog, answer, said):
    address = platform(answer) if answer else platform()
    assert extension.register(address) == "refused"
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("SIGTERM comes only if another extension is registered: ")
    assert said in record.getMessage()
    assert extension._asking == []


def test_a_name_that_is_taken_is_a_sibling_of_ours(platform, caplog):
    caplog.set_level("INFO")
    assert extension.register(platform(refusal(b"InvalidExtensionState"))) == "refused"
    assert [record.levelname for record in caplog.records] == ["INFO"]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "", "127.0.0.1:port"])
def test_an_address_at_which_nobody_is_fails_nothing(caplog, address):
    assert extension.register(address) == "unreachable"
    assert caplog.records == []  # a script's, or a test's: told to whoever wants to know


def test_an_answer_that_does_not_come_is_not_waited_for(platform, caplog, monkeypatch):
    monkeypatch.setattr(extension, "ANSWER", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert extension.register(address) == "refused"
    assert "timed out" in caplog.text
