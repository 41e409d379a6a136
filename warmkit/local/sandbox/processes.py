"""Owns the processes of one execution environment: starts, stops, continues and ends all of them.

It knows no protocol and no phase. Whatever happens to this process, none of them is left: see
`warmkit.local.sandbox.keeper`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import marshal
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from warmkit.local.sandbox import keeper, proc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from warmkit.local.sandbox.output import Output

_SETTLE_S = 0.0002
"""Between two looks at whether everything stands still. A stop signal takes effect in microseconds."""
_SETTLE_TRIES = 250


class Processes:
    """The processes of one environment, below a keeper of their own.

    Args:
        output: Takes what they print.
        ended: Called with the name and the status of each process that `run` started when it ends.
    """

    def __init__(self, output: Output, ended: Callable[[str, int], None]) -> None:
        self._output = output
        self._ended = ended
        self._pids: dict[str, int] = {}
        self._stopped: list[int] = []
        self._freezes = 0
        self._started: dict[str, asyncio.Future[int]] = {}
        self._killed: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ours, theirs = socket.socketpair()
        with theirs:
            self._keeper = subprocess.Popen(  # noqa: S603 - our own script
                [sys.executable, "-I", "-S", keeper.__file__],
                stdin=theirs.fileno(),
                stdout=output.write_end,
                stderr=output.write_end,
                start_new_session=True,
            )
        output.close_write_end()
        ours.setblocking(False)
        self._socket = ours
        self._received = b""
        asyncio.get_running_loop().add_reader(ours, self._receive)

    @property
    def frozen(self) -> bool:
        """Whether the processes are stopped at the moment."""
        return bool(self._stopped)

    @property
    def gone(self) -> bool:
        """Whether the keeper has ended, so that nothing can be run any more."""
        return self._gone.done()

    @property
    def pids(self) -> dict[str, int]:
        """Each process that `run` started and that still runs, by its name."""
        return dict(self._pids)

    @property
    def keeper(self) -> int:
        """The process id of the keeper, below which all others are."""
        pid: int = self._keeper.pid
        return pid

    async def run(
        self, name: str, arguments: Sequence[str], variables: Mapping[str, str], directory: str
    ) -> int:
        """Start a process in a session of its own, and return its id.

        Raises:
            ProcessLookupError: Somebody has killed the keeper.
        """
        if self.gone:
            message = "the environment's keeper is gone"
            raise ProcessLookupError(message)
        started = self._started[name] = asyncio.get_running_loop().create_future()
        self._order(marshal.dumps(("run", name, list(arguments), dict(variables), directory)))
        pid: int = await started
        return pid

    async def freeze(self) -> bool:
        """Stop every process. Return whether all stand still; False if a thaw came in between.

        A process may fork, or leave its session, while it is being stopped; so what `run` started is
        stopped at once, and all that is below it is looked for until nothing new is found.
        """
        self._freezes += 1
        this = self._freezes
        self._stop(list(self._pids.values()))
        for _ in range(_SETTLE_TRIES):
            await asyncio.sleep(_SETTLE_S)
            if this != self._freezes:
                return False
            found = proc.descendants(self._keeper.pid)
            new = [pid for pid in found if pid not in self._stopped]
            self._stop(new)
            if not new and all(map(proc.stands_still, found)):
                return True
        return True  # a thread that waits for a stopped child's exec cannot be stopped, nor does it run

    def _stop(self, pids: Sequence[int]) -> None:
        for pid in pids:
            _send(pid, signal.SIGSTOP)
            self._stopped.append(pid)

    def thaw(self) -> None:
        """Let every process run on."""
        self._freezes += 1
        for pid in self._stopped:
            _send(pid, signal.SIGCONT)
        self._stopped.clear()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process that `run` started and to its process group, as Lambda does."""
        leader = self._pids.get(name)
        for pid in self.all_pids() if leader is not None else ():
            with contextlib.suppress(ProcessLookupError):
                if pid == leader:
                    _send_to_main_thread(pid, number)
                elif os.getpgid(pid) == leader:
                    os.kill(pid, number)

    def all_pids(self) -> list[int]:
        """Return every process of the environment, but its keeper."""
        return proc.descendants(self._keeper.pid)

    def peak_memory(self) -> int:
        """Return the bytes that the processes held at most."""
        return sum(map(proc.peak_memory, proc.descendants(self._keeper.pid)))

    async def kill(self) -> None:
        """End all processes at once; the keeper stays, for others to be run."""
        self.thaw()
        if self._gone.done():
            return
        if self._killed is None:
            self._killed = asyncio.get_running_loop().create_future()
            self._order(marshal.dumps(("kill",)))
        await asyncio.wait([self._killed, self._gone], return_when=asyncio.FIRST_COMPLETED)
        self._killed = None

    async def close(self) -> None:
        """End all processes and the keeper. Does nothing the second time."""
        if self._socket.fileno() >= 0 and not self._gone.done():
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
            await self._gone
        self._keeper.wait()
        self._output.drain()

    def _order(self, order: bytes) -> None:
        self._socket.setblocking(True)  # the keeper reads at once, whatever the processes do
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(len(order).to_bytes(4, "big") + order)
        self._socket.setblocking(False)

    def _receive(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._keeper_ended()
            return
        self._received += data
        while len(self._received) >= 4:  # noqa: PLR2004 - the length's own length
            size = 4 + int.from_bytes(self._received[:4], "big")
            if len(self._received) < size:
                break
            body, self._received = self._received[4:size], self._received[size:]
            self._note(*marshal.loads(body))  # noqa: S302 - from our own keeper

    def _note(self, word: str, name: str, number: int) -> None:
        if word == "started":
            self._pids[name] = number
            self._started.pop(name).set_result(number)
        elif word == "ended":
            self._pids.pop(name, None)
            self._ended(name, number)
        elif self._killed is not None and not self._killed.done():
            self._killed.set_result(None)

    def _keeper_ended(self) -> None:
        """The keeper ended: because it was told to, or because somebody killed it."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        for name, pid in self._pids.items():
            # Usually they are gone: the kernel kills what the keeper started when it dies.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            self._ended(name, -signal.SIGKILL)
        for pid in self._stopped:
            _send(pid, signal.SIGKILL)
        self._pids.clear()
        self._stopped.clear()
        for started in self._started.values():
            started.set_exception(ProcessLookupError("the environment's keeper is gone"))
        self._started.clear()
        self._gone.set_result(None)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _send_to_main_thread(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process's main thread, which is where the kernel delivers it on Lambda.

    After a SIGSTOP and SIGCONT, which Lambda's freeze does without, it may choose another thread. A Python
    program whose main thread waits in a system call then never notices.
    """
    if proc.blocks(pid, number):
        os.kill(pid, number)  # somebody else in it waits for the signal
    else:
        ctypes.CDLL(None).tgkill(pid, pid, int(number))
