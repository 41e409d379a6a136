"""An internal extension that does nothing: for its sake the platform sends SIGTERM before it ends the environment.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html and
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
"""

import logging
import socket
from typing import Literal, NamedTuple

_log = logging.getLogger("warmkit")

CONNECT = 0.25
"""Seconds to reach an API that is on the same machine, or is not there at all."""
ANSWER = 1.0
"""Seconds for each piece of its answer."""

_NAME = "warmkit-orderly-shutdown"
_API = "/2020-01-01/extension"
_OK = 200
_TAKEN = b"InvalidExtensionState"
"""What the platform says of a name that is taken: by another process of the same environment."""
_asking: list[int] = []
"""The socket on which the extension asks for its next event: open for as long as the process lives, and never read."""

Registration = Literal["granted", "refused", "unreachable"]


class _Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def register(address: str) -> Registration:
    """Registers in the init phase; nothing here fails an environment.

    It asks for its next event, which never comes, as it wants none: init is not over until every extension has asked.
    It is not `http.client` that speaks here, as that takes ten milliseconds to import.
    """
    try:
        connection = socket.create_connection(_split(address), CONNECT)
    except (OSError, ValueError) as error:
        _log.info("SIGTERM will not be announced: nobody answers at %s: %s", address, error)
        return "unreachable"
    try:
        answer = _registered(connection, address)
        identifier = answer.headers.get("lambda-extension-identifier", "")
        if answer.status == _OK and identifier:
            connection.sendall(_request("GET", "event/next", address, identifier=identifier))
            _asking.append(connection.detach())
            return "granted"
        level = logging.INFO if _TAKEN in answer.body else logging.WARNING
        said = f"{answer.status} {answer.body[:200].decode('utf-8', 'replace')}"
    except (OSError, ValueError) as error:
        level, said = logging.WARNING, str(error)
    connection.close()
    _log.log(level, "SIGTERM comes only if another extension is registered: %s", said)
    return "refused"


def _registered(connection: socket.socket, address: str) -> _Answer:
    connection.settimeout(ANSWER)
    connection.sendall(_request("POST", "register", address, name=_NAME, body=b'{"events": []}'))
    return _read(connection)


def _request(method: str, path: str, host: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {_API}/{path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"Lambda-Extension-{name.title()}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _read(connection: socket.socket) -> _Answer:
    """Reads one answer.

    Raises:
        OSError: It does not come.
        ValueError: It is no HTTP.
    """
    data = b""
    while (answer := _parse(data)) is None:
        piece = connection.recv(4096)
        if not piece:
            raise OSError("the connection was lost")
        data += piece
    return answer


def _parse(data: bytes) -> _Answer | None:
    """Returns the answer, if it is all there."""
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if len(body) < int(headers.get("content-length", "0")):
        return None
    return _Answer(int(first.partition(" ")[2][:3]), headers, body)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
