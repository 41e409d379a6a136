"""Runs pgbouncer in transaction mode in front of a local PostgreSQL, as a production pooler would stand there.

pgbouncer is taken from PATH. Where it is not installed, Debian's package and the libraries that it names are
downloaded once with `apt-get download`, which needs neither root nor an installation, and kept in the
repository's .cache directory.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from warmkit.local.processes import HOST, ChildProcess, ServerError
from warmkit.local.server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping

_CACHE = Path(__file__).parents[2] / ".cache" / "pgbouncer"
_UNPRIVILEGED = "nobody"
_HELP = (
    "Install it (Debian and Ubuntu: apt-get install pgbouncer; macOS: brew install pgbouncer), or let this "
    "machine reach Debian's package archive."
)
_LIBRARY = re.compile(r"lib(?!c6\b)[\w.+-]+")
_DOWNLOAD_TIMEOUT_S = 120.0

_CONFIGURATION = """\
[databases]
postgres = host={host} port={target} {login}
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {home}/users
pool_mode = transaction
server_login_retry = 0.1
{settings}
"""


def pgbouncer_installation() -> Path:
    """Return the directory below which pgbouncer and its libraries lie, after a download if need be.

    Raises:
        ServerError: It is not installed, and cannot be downloaded.
    """
    root = _CACHE / platform.machine()
    if not (root / "usr/sbin/pgbouncer").exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as scratch:
            unpacked = _unpack(_download(Path(scratch)), Path(scratch) / "root")
            shutil.rmtree(root, ignore_errors=True)
            unpacked.replace(root)
    return root


def _download(directory: Path) -> list[Path]:
    """Download pgbouncer's package, then those of the libraries it depends on."""
    (package,) = _fetch(["pgbouncer"], directory)
    depends = _run(["dpkg-deb", "-f", str(package), "Depends"], directory)
    names = [item.split("|")[0].split()[0] for item in depends.split(",")]
    return [package, *_fetch([name for name in names if _LIBRARY.fullmatch(name)], directory)]


def _fetch(packages: list[str], directory: Path) -> list[Path]:
    before = set(directory.glob("*.deb"))
    try:
        _run(["apt-get", "download", *packages], directory)
    except ServerError:  # no package lists, or old ones: this machine's stay as they are
        state = directory / "apt"
        for part in ("lists/partial", "cache/archives/partial"):
            (state / part).mkdir(parents=True, exist_ok=True)
        own = [f"-oDir::State::lists={state}/lists", f"-oDir::Cache={state}/cache"]
        own += ["-oAPT::Sandbox::User="]
        _run(["apt-get", *own, "update"], directory)
        _run(["apt-get", *own, "download", *packages], directory)
    return sorted(set(directory.glob("*.deb")) - before)


def _unpack(packages: list[Path], root: Path) -> Path:
    for package in packages:
        _run(["dpkg", "-x", str(package), str(root)], root.parent)
    return root


def _run(command: list[str], directory: Path) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=_DOWNLOAD_TIMEOUT_S,
        )
        came = f"status {done.returncode}: {done.stderr}"
    except (OSError, subprocess.TimeoutExpired) as error:
        came = str(error)
    else:
        if done.returncode == 0:
            return done.stdout
    message = (
        f"Expected pgbouncer on PATH, or in Debian's package archive, but {command[:2]} came to {came}\n"
        f"{_HELP}"
    )
    raise ServerError(message)


class Pooler(Server):
    """pgbouncer in transaction mode, with a fixed number of connections to PostgreSQL.

    Runs as the current user; for root, whom pgbouncer refuses, as the user "nobody".
    """

    def __init__(
        self,
        target_port: int,
        *,
        login: Mapping[str, str],
        users: Mapping[str, str],
        settings: Mapping[str, object],
        files: Mapping[str, str],
    ) -> None:
        """Start nothing yet.

        Args:
            target_port: PostgreSQL's.
            login: As whom pgbouncer connects to PostgreSQL: user and password.
            users: Who may connect to pgbouncer: password by user.
            settings: More of pgbouncer's settings; "{home}" in them is the server's directory.
            files: What else is to lie there: text by name.
        """
        super().__init__()
        self._target_port = target_port
        self._login = login
        self._users = users
        self._settings = settings
        self._files = files
        self._user = _UNPRIVILEGED if os.geteuid() == 0 else None

    def dsn(self, user: str) -> str:
        """Return the URL to connect to as that user."""
        return f"postgresql://{user}:{self._users[user]}@{HOST}:{self.port}/postgres"

    def _make_home(self) -> Path:
        usual = tempfile.gettempdir() if self._user is None else "/tmp"  # "nobody" gets there
        return Path(tempfile.mkdtemp(prefix="warmkit-pooler-", dir=usual))

    def _prepare(self) -> None:
        self._program = shutil.which("pgbouncer") or self._own_copy()
        self.write_users(self._users)
        for name, text in self._files.items():
            (self.home / name).write_text(text)

    def _own_copy(self) -> str:
        """Return the path of a copy that the server's user can read, wherever the repository lies."""
        copy = self.home / "installation"
        what_is_not_run = shutil.ignore_patterns("etc", "share", "engines-*", "ossl-modules")
        shutil.copytree(pgbouncer_installation(), copy, symlinks=True, ignore=what_is_not_run)
        return str(copy / "usr/sbin/pgbouncer")

    def write_users(self, users: Mapping[str, str]) -> None:
        """Say who may connect, from the next start on."""
        self._users = users
        lines = [f'"{name}" "{password}"\n' for name, password in users.items()]
        (self.home / "users").write_text("".join(lines))

    def _libraries(self) -> str:
        lib = self.home / "installation" / "usr" / "lib"
        places = {path.parent for path in lib.rglob("*.so.*")} if lib.exists() else set()
        return os.pathsep.join(sorted(map(str, places)))

    def _spawn(self) -> ChildProcess:
        login = " ".join(f"{name}={text}" for name, text in self._login.items())
        settings = "\n".join(
            f"{name} = {value}".format(home=self.home)
            for name, value in self._all_settings().items()
        )
        text = _CONFIGURATION.format(
            host=HOST,
            target=self._target_port,
            port=self.port,
            home=self.home,
            login=login,
            settings=settings,
        )
        (self.home / "pgbouncer.ini").write_text(text)
        if self._user is not None:
            for path in (self.home, *self.home.iterdir()):
                shutil.chown(path, self._user)
        return ChildProcess(
            [self._program, self.home / "pgbouncer.ini"],
            home=self.home,
            env=self._environment(),
            user=self._user,
            last_signal=self._last_signal,
        )

    def _all_settings(self) -> dict[str, object]:
        version = subprocess.run(
            [self._program, "--version"],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        number = re.search(r"(\d+)\.(\d+)", version)
        assert number is not None, version
        if (int(number[1]), int(number[2])) < (1, 21):
            return dict(self._settings)
        # Poolers that know named statements are new, and many in use do not.
        return {"max_prepared_statements": 0, **self._settings}

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "LD_LIBRARY_PATH": self._libraries()}

    def _is_ready(self, output: str) -> bool:
        return "process up" in output
