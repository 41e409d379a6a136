"""Runs a program that sees directories of ours in /var, and believes that it may change who it is.

AWS's emulator looks for a function in /var/runtime and /var/task, and gives its process to the user 993, who could read
neither a private checkout nor the Python of whoever runs the tests. So it gets a mount namespace of its own, in which /var
is a file system in memory with everything that /var has, and with ours; and setuid, setgid and setgroups do nothing, and
report success. Nothing outside of the namespace changes, and it ends with its processes. Where this is not run by root, a user
namespace gives the right to mount.

Arguments: what /var/runtime is to be, what /var/task is to be, the command.
"""

import ctypes
import os
import platform
import stat
import struct
import sys
import time
from pathlib import Path

BEGINS = "the command begins at "
"""What it prints before the moment, in seconds of the monotonic clock, at which it becomes the command."""

_CHANGES_OF_USER = {"x86_64": (105, 106, 116), "aarch64": (146, 144, 159)}
"""The numbers of setuid, setgid and setgroups."""

_NEW_MOUNTS, _NEW_USERS = 0x20000, 0x10000000
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000
_NO_NEW_PRIVILEGES, _SECCOMP, _BY_FILTER = 38, 22, 2
_LOAD, _IS, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _DO_NOTHING = 0x7FFF0000, 0x00050000

_libc = ctypes.CDLL(None, use_errno=True)


def enter(directories: dict[str, str]) -> None:
    """Makes a namespace in which /var has these directories, by name, beside what it has."""
    _separate()
    _call("mount", None, b"/", None, ctypes.c_ulong(_RECURSIVE | _PRIVATE), None)
    was = [(entry, os.open(entry, os.O_PATH | os.O_NOFOLLOW)) for entry in Path("/var").iterdir()]
    ours = [(Path("/var", name), os.open(path, os.O_PATH)) for name, path in directories.items()]
    _call("mount", b"tmpfs", b"/var", b"tmpfs", ctypes.c_ulong(0), b"mode=755")
    for entry, handle in was:
        if entry.name not in directories:
            _put(entry, handle)
    for entry, handle in ours:
        _put(entry, handle)


def _separate() -> None:
    user, group = os.getuid(), os.getgid()
    try:
        _call("unshare", _NEW_MOUNTS)
    except PermissionError:
        _call("unshare", _NEW_MOUNTS | _NEW_USERS)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def _put(entry: Path, handle: int) -> None:
    """Makes an entry of the new /var be what the handle leads to."""
    kind = os.fstat(handle).st_mode
    if stat.S_ISLNK(kind):
        entry.symlink_to(os.readlink("", dir_fd=handle))
    else:
        entry.mkdir() if stat.S_ISDIR(kind) else entry.touch()
        source = f"/proc/self/fd/{handle}".encode()
        flags = ctypes.c_ulong(_BIND | _RECURSIVE)
        _call("mount", source, bytes(entry), None, flags, None)
    os.close(handle)


def change_nobody() -> None:
    """Makes all changes of user and groups do nothing, here and in all children."""
    numbers = _CHANGES_OF_USER[platform.machine()]
    rules = [(_LOAD, 0, 0, 0)]
    rules += [(_IS, len(numbers) - n, 0, number) for n, number in enumerate(numbers)]
    rules += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _DO_NOTHING)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    program = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(code))
    _call("prctl", _NO_NEW_PRIVILEGES, ctypes.c_ulong(1), *[ctypes.c_ulong(0)] * 3)
    _call("prctl", _SECCOMP, ctypes.c_ulong(_BY_FILTER), program)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    try:
        enter({"runtime": sys.argv[1], "task": sys.argv[2]})
        change_nobody()
    except OSError as error:
        sys.exit(
            f"no namespace for AWS's emulator can be made: {error}\n"
            "  Its multi-concurrency mode needs root, or user namespaces that an ordinary user may make."
        )
    print(f"{BEGINS}{time.perf_counter()}", flush=True)
    os.execv(sys.argv[3], sys.argv[3:])
