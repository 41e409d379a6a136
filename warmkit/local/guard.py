"""Runs one server as its child, passes on its owner's signals, and ends it when the owner is gone.

Started as a script by `warmkit.local.processes`, with one pipe as standard input: every byte on
it is a signal number for the server, and its end means that the owner died, however that
happened. A pipe is used because it needs no cooperation from the owner, works on every POSIX
system and, unlike Linux's parent-death signal, does not fire when merely the thread that started
the server ends. Only the standard library is imported, and little of it: this runs on every start.

Arguments: the signal that ends the server, the directory to remove if the owner vanishes, the
user to become ("" for none), the command.
"""

import contextlib
import os
import signal
import sys
import threading
import time

PATIENCE_S = 5.0
"""How long a server may take to end after its owner vanished before it is killed."""

COULD_NOT_RUN = 127


def run(last_signal: int, home: str, user: str, command: list[str]) -> int:
    """Run the command until it ends, and return its exit status as a shell would show it."""
    server = os.fork()
    if server == 0:
        _become(user, command)

    def end_server(_number: int, _frame: object) -> None:
        _send(server, last_signal)

    for urgent in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(urgent, end_server)
    abandoned = threading.Event()
    threading.Thread(target=_obey, args=(server, last_signal, abandoned), daemon=True).start()
    _, status = os.waitpid(server, 0)
    if abandoned.is_set():
        _remove(home)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _become(user: str, command: list[str]) -> None:
    """Turn this process into the server. Never returns."""
    try:
        if user:
            _drop_to(user)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, sys.stdin.fileno())
        os.execvp(command[0], command)  # noqa: S606 - the owner chose the command
    except BaseException as error:  # noqa: BLE001 - a forked child must not return to the caller
        os.write(2, f"cannot run {command[0]}: {error}\n".encode())
    os._exit(COULD_NOT_RUN)


def _drop_to(user: str) -> None:
    import pwd

    account = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def _obey(server: int, last_signal: int, abandoned: threading.Event) -> None:
    """Pass on what the owner orders; once the owner is gone, end the server."""
    while order := os.read(0, 1):
        _send(server, order[0])
    abandoned.set()
    _send(server, last_signal)
    time.sleep(PATIENCE_S)
    _send(server, signal.SIGKILL)


def _send(server: int, signal_number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(server, signal_number)


def _remove(home: str) -> None:
    import shutil

    # The server's own children may still write for a moment, and are not ours to wait for.
    deadline = time.monotonic() + PATIENCE_S
    while os.path.exists(home) and time.monotonic() < deadline:  # noqa: PTH110 - pathlib is slow
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    status = run(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
    # Skips the interpreter's shutdown, which would wait for nothing that matters here.
    os._exit(status)
