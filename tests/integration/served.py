"""`warmkit serve` as a child process, and clients for it."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config
from children import processes_below
from emulator import PYTHONPATH

if TYPE_CHECKING:
    from types import TracebackType

    import psutil  # type: ignore[import-untyped]

FUNCTIONS = Path(__file__).parent / "functions"
PATIENCE_S = 180  # only a hang takes that long
COMMAND = [sys.executable, "-c", "from warmkit.local.cli import main; main()", "serve"]


class Served:
    """A function that is served by the command, in a process group of its own."""

    def __init__(self, handler: str, *options: str, root: Path = FUNCTIONS) -> None:
        """Start it, and wait until it says where it is."""
        self.process = subprocess.Popen(
            [*COMMAND, handler, "--port", "0", *options],
            env=os.environ | {"PYTHONPATH": PYTHONPATH},
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        said = self.wait_for(r"is served at http://127.0.0.1:(\d+)/")
        self.port = int(said[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.clients: list[Any] = []

    def __enter__(self) -> Self:
        """It has been started."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it."""
        for client in self.clients:
            client.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(30)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def client(self, **config: Any) -> Any:
        """Return an unmodified boto3 client."""
        client = boto3.client(
            "lambda",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE_S, **config),
        )
        self.clients.append(client)
        return client

    def invoke(self, **given: Any) -> Any:
        """Invoke the function with boto3; return what came, the payload read."""
        answer = self.client().invoke(**{"FunctionName": "function"} | given)
        answer["Payload"] = answer["Payload"].read()
        return answer

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request as curl does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, named, answer.read()

    def wait_for(self, pattern: str, *, times: int = 1) -> re.Match[str]:
        """Wait until it printed such a line, or so many; return the first match."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            matches = (re.search(pattern, line) for line in self.lines)
            found[:] = [match for match in matches if match]
            return len(found) >= times or (
                not self._reader.is_alive() and self.process.poll() is not None
            )

        with self._news:
            self._news.wait_for(look, timeout=PATIENCE_S)
        assert len(found) >= times, (pattern, self.lines)
        return found[0]

    def processes(self) -> list[psutil.Process]:
        """Everything below it."""
        return processes_below(self.process.pid)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()
