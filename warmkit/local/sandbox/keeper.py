"""The process at the root of one execution environment: starts the others, and lets none outlive its owner.

Started as a script by `warmkit.local.sandbox.processes`, with a socket as standard input. Orders come
in on it, reports go out; its end means that the owner is gone, however that happened. Whatever a
process of the environment forks stays below the keeper, because orphans become children of the
nearest subreaper: so there is always one tree to stop, and one to end. The keeper itself is never
stopped. Only what the interpreter holds anyway is imported, and little else: this runs on every
cold start.

A message is its length in four bytes, then a marshalled tuple. Orders: ("run", name, arguments,
variables, directory), ("kill",). Reports: ("started", name, pid), ("ended", name, status), ("killed",).
"""

import ctypes
import marshal
import os
import select
import signal
import time
from typing import NoReturn

_OWNER = 0
_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_COULD_NOT_RUN = 127
_PAUSE_S = 0.002

_library = ctypes.CDLL(None)


class Keeper:
    """Follows orders until the owner is gone."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._descriptors: dict[int, int] = {}
        # A descriptor for each child, not SIGCHLD: that would also arrive at each freeze and thaw.
        self._poll = select.poll()
        self._poll.register(_OWNER, select.POLLIN)

    def serve(self) -> None:
        """Serve, and end everything at last."""
        _library.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        for number in _SIGNALS:
            signal.signal(number, _leave)
        try:
            while self._turn():
                self._reap_orphans()
        finally:
            self._kill_all()

    def _turn(self) -> bool:
        """Do what is to be done; return whether the owner is still there."""
        for ready, _ in self._poll.poll():
            if ready != _OWNER:
                pid = self._descriptors.get(ready)
                if pid is not None:
                    self._note(*os.waitpid(pid, 0))
                continue
            order = _receive()
            if order is None:
                return False
            self._obey(order)
        return True

    def _obey(self, order: tuple[str, str, list[str], dict[str, str], str]) -> None:
        if order[0] == "kill":
            self._kill_all()
            _report("killed", "", 0)
            return
        _, name, arguments, variables, directory = order
        keeper = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become(keeper, arguments, variables, directory)
        self._names[pid] = name
        descriptor = os.pidfd_open(pid)
        self._descriptors[descriptor] = pid
        self._poll.register(descriptor, select.POLLIN)
        _report("started", name, pid)

    def _note(self, pid: int, status: int) -> None:
        """Take note that a child has ended and was reaped."""
        name = self._names.pop(pid, None)
        if name is None:
            return
        for descriptor, whose in list(self._descriptors.items()):
            if whose == pid:
                del self._descriptors[descriptor]
                self._poll.unregister(descriptor)
                os.close(descriptor)
        _report("ended", name, os.waitstatus_to_exitcode(status))

    def _kill_all(self) -> None:
        """Kill all children until there are none: what they leave behind becomes a child in turn."""
        while children := _children():
            for child in children:
                _kill(child)
            self._reap_all()
            time.sleep(_PAUSE_S)

    def _reap_all(self) -> None:
        try:
            while (reaped := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                self._note(*reaped)
        except ChildProcessError:
            return

    def _reap_orphans(self) -> None:
        for child in _children():
            if child not in self._names:
                os.waitpid(child, os.WNOHANG)


def _become(
    keeper: int, arguments: list[str], variables: dict[str, str], directory: str
) -> NoReturn:
    """Turn a forked child into a program."""
    try:
        _library.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != keeper:
            os._exit(_COULD_NOT_RUN)
        os.setsid()
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), _OWNER)
        os.chdir(directory)
        os.execve(arguments[0], arguments, variables)  # noqa: S606 - the owner chose the command
    except BaseException as error:  # noqa: BLE001 - a forked child must not return to the caller
        os.write(2, f"cannot run {arguments[0]}: {error}\n".encode())
    os._exit(_COULD_NOT_RUN)


def _leave(_number: int, _frame: object) -> NoReturn:
    raise SystemExit


def _children() -> list[int]:
    me = os.getpid()
    with open(f"/proc/{me}/task/{me}/children", "rb") as file:  # noqa: PTH123 - pathlib is slow
        return [int(child) for child in file.read().split()]


def _kill(pid: int) -> None:
    try:  # noqa: SIM105 - contextlib is not loaded
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _receive() -> tuple[str, str, list[str], dict[str, str], str] | None:
    head = _read(4)
    body = _read(int.from_bytes(head, "big")) if head else b""
    return marshal.loads(body) if body else None  # noqa: S302 - from our owner


def _read(size: int) -> bytes:
    """Read so many bytes; none if the owner is gone."""
    data = b""
    while len(data) < size:
        try:
            more = os.read(_OWNER, size - len(data))
        except ConnectionError:
            return b""
        if not more:
            return b""
        data += more
    return data


def _report(word: str, name: str, number: int) -> None:
    body = marshal.dumps((word, name, number))
    try:  # noqa: SIM105 - contextlib is not loaded
        os.write(_OWNER, len(body).to_bytes(4, "big") + body)
    except OSError:
        pass  # the owner is gone; reading will tell


if __name__ == "__main__":
    Keeper().serve()
    os._exit(0)
