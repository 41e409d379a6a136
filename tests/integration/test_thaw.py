"""What came up while the loop stood still is known when a handler begins: peers that hung up, above all."""

import asyncio
import socket
import ssl
import threading
from contextlib import closing, suppress

import pytest

from tests.integration.amazon_tls import Authority
from warmkit.hosts.loop import PersistentLoop


class Client(asyncio.Protocol):
    def __init__(self):
        self.lost = False

    def connection_lost(self, error):
        self.lost = True


def hangs_up(listening, tls, asked):
    """Takes a connection, and closes it in order once it is asked to."""
    connection, _ = listening.accept()
    if tls is not None:
        connection = tls.wrap_socket(connection, server_side=True)
    asked.wait()
    if tls is not None:
        connection.settimeout(0.0)  # nobody answers: the client's loop stands still
        with suppress(ssl.SSLError):
            connection.unwrap()
    connection.close()


def trust_in(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.root)
    return context


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
def test_a_connection_that_was_closed_in_a_freeze_knows_it_when_the_handler_begins(tls, tmp_path):
    authority = Authority(tmp_path) if tls else None
    secured = {"ssl": trust_in(authority), "server_hostname": "s3.example.com"} if tls else {}
    asked, host = threading.Event(), PersistentLoop()

    async def connect(address):
        return await asyncio.get_running_loop().create_connection(Client, *address, **secured)

    async def look():
        return client.lost

    with closing(host), socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(
            target=hangs_up, args=(listening, authority and authority.context, asked)
        )
        server.start()
        transport, client = host.run(connect(listening.getsockname()))
        assert host.run(look()) is False
        asked.set()
        server.join()
        assert host.run(look()) is True
        transport.close()
