"""Cuts the connections of a process behind its back, as a firewall or a server does during a freeze.

Linux lets a process's ancestor take a copy of its descriptors (pidfd_getfd, since Linux 5.6). A copy that
is shut down is shut down for its owner, too, who finds out when it next uses the connection.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from typing import TYPE_CHECKING

from warmkit.local.sandbox import proc

if TYPE_CHECKING:
    from collections.abc import Iterable

_PIDFD_GETFD = 438  # the same on every architecture
_INTERNET = {socket.AF_INET, socket.AF_INET6}


def cut(pids: Iterable[int], *, spare_port: int) -> int:
    """Cut every TCP connection of some processes, and return how many there were.

    Args:
        pids: The processes.
        spare_port: The port of a peer whose connections stay: the Runtime API.

    Raises:
        PermissionError: The kernel does not allow it.
    """
    return sum(_cut_all(pid, spare_port) for pid in pids)


def _cut_all(pid: int, spare_port: int) -> int:
    count = 0
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return 0
    try:
        for descriptor in proc.sockets(pid):
            with contextlib.suppress(OSError), _copy(process, descriptor) as connection:
                if _is_to_cut(connection, spare_port):
                    connection.shutdown(socket.SHUT_RDWR)
                    count += 1
    finally:
        os.close(process)
    return count


def _copy(process: int, descriptor: int) -> socket.socket:
    copied = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, process, descriptor, 0)
    if copied < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot take a connection of a process: {os.strerror(number)}")
    return socket.socket(fileno=copied)


def _is_to_cut(connection: socket.socket, spare_port: int) -> bool:
    if connection.family not in _INTERNET or connection.type != socket.SOCK_STREAM:
        return False
    peer: tuple[str, int] = connection.getpeername()[:2]  # raises where nobody is connected
    return peer[1] != spare_port
