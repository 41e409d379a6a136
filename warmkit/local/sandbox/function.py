"""Says what is run: a function's code and configuration, as one would deploy it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

REGION, ACCOUNT = "us-east-1", "123456789012"
VERSION = "$LATEST"

RuntimeName = Literal["warmkit", "aws"]
Initialization = Literal[
    "on-demand", "provisioned-concurrency", "snap-start", "lambda-managed-instances"
]

_RUNTIMES = {"warmkit": "warmkit.runtime", "aws": "awslambdaric"}
_INIT_LIMIT_S, _LONG_INIT_LIMIT_S = 10.0, 130.0

_OURS = ("AWS_LAMBDA_", "LAMBDA_", "_")
"""What only Lambda itself sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function.

    Attributes:
        handler: "module.function".
        task_root: The directory with its code.
        runtime: What serves it: warmkit's runtime or AWS's own, unmodified.
        name: The function's name.
        timeout: Seconds that an invocation may take.
        memory: MB; told to the function, not enforced.
        env: Environment variables of its own; they win over this process's.
        concurrency: How many invocations an environment serves at once; more than 1 means Lambda
            Managed Instances, which do not freeze.
        extensions: External extensions: programs that are started with each environment.
        initialization: How its environments are made.
        init_limit: Seconds for the init phase; None means Lambda's.
        freeze: Whether an idle environment is stopped. Off, to see what that changes.
    """

    handler: str
    task_root: Path = field(default_factory=Path.cwd)
    runtime: RuntimeName = "warmkit"
    name: str = "function"
    timeout: float = 3.0
    memory: int = 128
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)  # it holds secrets
    concurrency: int = 1
    extensions: tuple[Path, ...] = ()
    initialization: Initialization = "on-demand"
    init_limit: float | None = None
    freeze: bool = True

    @property
    def arn(self) -> str:
        """Its Amazon Resource Name."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.name}"

    @property
    def freezes(self) -> bool:
        """Whether an idle environment stands still."""
        return self.freeze and self.concurrency == 1

    @property
    def command(self) -> list[str]:
        """What starts its runtime: a wrapper of its own is handed the rest."""
        wrapper = self.env.get("AWS_LAMBDA_EXEC_WRAPPER")
        runtime = [sys.executable, "-m", _RUNTIMES[self.runtime], self.handler]
        return [wrapper, *runtime] if wrapper else runtime

    @property
    def longest_init(self) -> float:
        """Seconds that the init phase may take."""
        if self.init_limit is not None:
            return self.init_limit
        if self.initialization == "on-demand" and self.concurrency == 1:
            return _INIT_LIMIT_S
        return max(_LONG_INIT_LIMIT_S, self.timeout)

    def variables(self, *, api: str, log_stream: str, token: str) -> dict[str, str]:
        """Return the environment variables of its runtime.

        Args:
            api: Host and port of the Runtime API.
            log_stream: Which environment it is.
            token: What a request for the metadata must show.
        """
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_OURS) and name not in {"AWS_PROFILE", "AWS_EXECUTION_ENV"}
        }
        own = {name: value for name, value in self.env.items() if not name.startswith("_")}
        return {"TZ": ":UTC", **inherited, **own, **self._reserved(api, log_stream, token)}

    def _reserved(self, api: str, log_stream: str, token: str) -> dict[str, str]:
        region = self.env.get("AWS_REGION") or os.environ.get("AWS_REGION") or REGION
        named = {
            "AWS_LAMBDA_RUNTIME_API": api,
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": VERSION,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.memory),
            "AWS_LAMBDA_INITIALIZATION_TYPE": self._kind,
            "AWS_LAMBDA_METADATA_API": api,
            "AWS_LAMBDA_METADATA_TOKEN": token,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python3.{sys.version_info.minor}",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "LAMBDA_TASK_ROOT": str(self.task_root),
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "_HANDLER": self.handler,
            "PYTHONUNBUFFERED": "1",
        }
        if self.initialization != "snap-start":
            named["AWS_LAMBDA_LOG_GROUP_NAME"] = f"/aws/lambda/{self.name}"
            named["AWS_LAMBDA_LOG_STREAM_NAME"] = log_stream
        if self.concurrency > 1:
            named["AWS_LAMBDA_MAX_CONCURRENCY"] = str(self.concurrency)
        return named

    @property
    def _kind(self) -> Initialization:
        return "lambda-managed-instances" if self.concurrency > 1 else self.initialization


def for_extension(variables: Mapping[str, str]) -> dict[str, str]:
    """Return what of a runtime's variables an external extension sees."""
    hidden = {
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
    return {
        name: value
        for name, value in variables.items()
        if name not in hidden and not name.startswith(("_", "AWS_XRAY_"))
    }
