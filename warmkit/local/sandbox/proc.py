"""Reads Linux's process table: who is below whom, in which state, with how much memory."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_STOPPED = b"TtZX"
_KIB = 1024


def children(pid: int) -> list[int]:
    """Return the children of a process, whichever of its threads made them."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - this is on every freeze's way
            with contextlib.suppress(OSError):
                found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def descendants(pid: int) -> list[int]:
    """Return all processes below one, parents first."""
    found = children(pid)
    for below in found:  # grows meanwhile
        found += children(below)
    return found


def stands_still(pid: int) -> bool:
    """Tell whether every thread of a process is stopped, or it has ended."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - as above
        return all(_state(f"/proc/{pid}/task/{thread}/stat") in _STOPPED for thread in threads)
    except OSError:
        return True


def peak_memory(pid: int) -> int:
    """Return the most memory that a process ever held, in bytes; 0 if it has ended."""
    with contextlib.suppress(OSError):
        for line in _read(f"/proc/{pid}/status").splitlines():
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) * _KIB
    return 0


def blocks(pid: int, signal_number: int) -> bool:
    """Tell whether the main thread of a process blocks a signal."""
    with contextlib.suppress(OSError):
        for line in _read(f"/proc/{pid}/status").splitlines():
            if line.startswith(b"SigBlk:"):
                return bool(int(line.split()[1], 16) >> (signal_number - 1) & 1)
    return False


def sockets(pid: int) -> list[int]:
    """Return the descriptors of a process that are sockets."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - beside its likes
            with contextlib.suppress(OSError):
                if str(Path(f"/proc/{pid}/fd/{name}").readlink()).startswith("socket:"):
                    found.append(int(name))
    return found


def _state(path: str) -> bytes:
    # The fields after the name, which is in parentheses and may hold anything.
    return _read(path).rpartition(b")")[2].split(None, 1)[0]


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1 << 16)
    finally:
        os.close(descriptor)
