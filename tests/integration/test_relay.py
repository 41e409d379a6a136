"""The relay breaks connections in the ways that tests ask for, and in no other."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from warmkit.local.processes import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from warmkit.testing import Relay

_TIMEOUT_S = 10.0
_SILENCE_S = 0.1


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    with socket.create_server((HOST, 0)) as listener:
        server = threading.Thread(target=_serve, args=(listener,))
        server.start()
        yield listener.getsockname()[1]
        with socket.create_connection(listener.getsockname()) as last:
            last.sendall(b"quit")
        server.join(_TIMEOUT_S)


def _serve(listener: socket.socket) -> None:
    echoes = []
    while True:
        connection, _ = listener.accept()
        if connection.recv(4, socket.MSG_PEEK) == b"quit":
            connection.close()
            break
        echoes.append(threading.Thread(target=_echo, args=(connection,)))
        echoes[-1].start()
    for echo in echoes:
        echo.join(_TIMEOUT_S)


def _echo(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
        except ConnectionResetError:
            return


def connect(relay: Relay) -> socket.socket:
    """Connect through a relay, and prove that it passes on."""
    connection = socket.create_connection((HOST, relay.port), timeout=_TIMEOUT_S)
    assert ask(connection, b"hello") == b"hello"
    return connection


def ask(connection: socket.socket, question: bytes) -> bytes:
    """Send something and receive as much."""
    connection.sendall(question)
    return receive(connection, len(question))


def receive(connection: socket.socket, size: int) -> bytes:
    """Receive so many bytes, or fewer if the other side ends."""
    data = b""
    while len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return data


def test_it_passes_on_and_counts(relay: Callable[[int], Relay], echo: int) -> None:
    network = relay(echo)
    with connect(network) as first, connect(network):
        assert (network.connections, network.open) == (2, 2)
        big = bytes(range(256)) * 4096
        sender = threading.Thread(target=first.sendall, args=(big,))
        sender.start()
        assert receive(first, len(big)) == big
        sender.join()
        first.shutdown(socket.SHUT_WR)
        assert first.recv(1) == b""


def test_cut_resets_both_sides(relay: Callable[[int], Relay], echo: int) -> None:
    network = relay(echo)
    with connect(network) as first, connect(network) as second:
        assert network.cut() == 2
        assert network.open == 0
        for connection in (first, second):
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        with connect(network):
            assert (network.connections, network.open) == (3, 1)


def test_cut_can_say_farewell(relay: Callable[[int], Relay], echo: int) -> None:
    network = relay(echo)
    with connect(network) as first:
        assert network.cut(reset=False) == 1
        assert first.recv(1) == b""
    with connect(network) as second:
        network.cut()  # the farewell was for once
        with pytest.raises(ConnectionResetError):
            second.recv(1)


def test_hang_after_some_answers(relay: Callable[[int], Relay], echo: int) -> None:
    network = relay(echo)
    with connect(network) as connection:
        network.hang(after=2)
        assert [ask(connection, b"one"), ask(connection, b"two")] == [b"one", b"two"]
        connection.sendall(b"three")
        connection.settimeout(_SILENCE_S)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert network.holding == 1
        connection.settimeout(_TIMEOUT_S)
        network.resume()
        assert receive(connection, 5) == b"three"
        assert ask(connection, b"four") == b"four"
        assert network.holding == 0


def test_the_port_is_kept_while_it_refuses(relay: Callable[[int], Relay], echo: int) -> None:
    network = relay(echo)
    network.refuse()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((HOST, network.port))
    assert str(network.address) == f"{HOST}:{network.port}"


def test_hang_is_silent_until_resume(relay: Callable[[int], Relay], echo: int) -> None:
    network = relay(echo)
    with connect(network) as old:
        network.hang()
        with socket.create_connection((HOST, network.port), timeout=_TIMEOUT_S) as new:
            for connection in (old, new):
                connection.sendall(b"anybody?")
                connection.settimeout(_SILENCE_S)
                with pytest.raises(TimeoutError):
                    connection.recv(1)
                connection.settimeout(_TIMEOUT_S)
            network.resume()
            for connection in (old, new):
                assert receive(connection, 8) == b"anybody?"


def test_a_hanging_connection_can_be_cut(relay: Callable[[int], Relay], echo: int) -> None:
    network = relay(echo)
    with connect(network) as connection:
        network.hang()
        connection.sendall(b"x")
        assert network.cut() == 1
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_refuse_affects_new_connections_only(relay: Callable[[int], Relay], echo: int) -> None:
    network = relay(echo)
    with connect(network) as old:
        network.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(network)
        assert ask(old, b"still") == b"still"
        port = network.port
        network.accept()
        assert network.port == port
        connect(network).close()


def test_a_server_that_is_away_resets_its_clients(relay: Callable[[int], Relay]) -> None:
    with socket.create_server((HOST, 0)) as closed:
        port = closed.getsockname()[1]
    network = relay(port)
    network.cut(reset=False)  # nothing is open; and later links break as before
    # The reset may come during the connect already.
    with (
        pytest.raises(ConnectionResetError),
        socket.create_connection((HOST, network.port), timeout=_TIMEOUT_S) as connection,
    ):
        connection.recv(1)
