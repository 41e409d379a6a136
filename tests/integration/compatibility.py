"""What is asked of both runtimes: each case is an invocation, and what its caller gets of it, or what the log says, is compared."""

from __future__ import annotations

import base64
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from emulator import Answer, Emulator
from managed import ManagedInstance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FUNCTION = Path(__file__).parent / "functions" / "compat.py"
CANNOT_BE_LOADED = {
    "needs.py": "import not_there\n",
    "needs_name.py": "from json import not_there\n",
    "raises.py": "raise ValueError('not today')\n",
    "exits.py": "import sys\nsys.exit(3)\n",
    "unfinished.py": "def handler(event, context)\n    return 1\n",
}
ONE, MANY = "one at a time", "many at once"
MODES = (ONE, MANY)
OURS, AWS = "warmkit.runtime", "awslambdaric"
CONCURRENCY = 2

Env = tuple[tuple[str, str], ...]


class Case(NamedTuple):
    """An invocation.

    Attributes:
        name: What is tried, as the page says it.
        do: What the function is to do, by its name in functions/compat.py.
        event: As it is sent.
        headers: Of the caller, besides the client context that says what to do.
        handler: If it is not `compat.handler`.
        env: Variables of the environment.
        alone: It ends its process: no other is to be served there.
        log: The log is compared, too.
        better: Why ours differs, by mode. Without a reason it must not.
    """

    name: str
    do: str = "echo"
    event: bytes = b"{}"
    headers: Mapping[str, str] = {}
    handler: str = "compat.handler"
    env: Env = ()
    alone: bool = False
    log: bool = False
    better: Mapping[str, str] = {}


class Outcome(NamedTuple):
    """What came of a case, without what must differ: ids, times, paths."""

    status: int
    body: Any
    log: tuple[str, ...]
    error_type: str

    def of_the_caller(self) -> tuple[object, ...]:
        """All but the type that the platform keeps: AWS's runtime does not tell it."""
        return self[:3]


def outcomes(mode: str, runtime: str, cases: Iterable[Case]) -> dict[str, Outcome]:
    """Tries all cases in one mode of one runtime: those with the same handler and variables in one environment."""
    together: dict[object, list[Case]] = {}
    for case in cases:
        alone = case.name if case.alone or case.log else ""
        together.setdefault((case.handler, case.env, alone), []).append(case)
    with TemporaryDirectory() as folder, ThreadPoolExecutor(4) as callers:
        task_root = _task_root(Path(folder))
        serve = partial(_in_one_environment, mode, runtime, task_root)
        return {
            name: outcome
            for some in callers.map(serve, together.values())
            for name, outcome in some.items()
        }


def _task_root(folder: Path) -> Path:
    shutil.copy(FUNCTION, folder)
    for name, code in CANNOT_BE_LOADED.items():
        (folder / name).write_text(code)
    return folder


def _in_one_environment(
    mode: str, runtime: str, task_root: Path, cases: list[Case]
) -> dict[str, Outcome]:
    environment = _environment(mode, runtime, task_root, cases[0])
    with environment:
        answers = {case.name: _answer(environment, case) for case in cases}
    chance = Chance(task_root)
    log = tuple(chance.told(environment.log)) if cases[0].log else ()
    return {
        name: Outcome(answer.status, chance.body(answer), log, answer.error_type)
        for name, answer in answers.items()
    }


def _environment(mode: str, runtime: str, task_root: Path, case: Case) -> Emulator:
    env = {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.12", **dict(case.env)}
    if mode == ONE:
        return Emulator(case.handler, task_root=task_root, runtime=runtime, env=env)
    if (
        case.alone
    ):  # AWS's processes that end take the invocation with them: its caller waits that long
        env.setdefault("AWS_LAMBDA_FUNCTION_TIMEOUT", "3")
    return ManagedInstance(
        case.handler, concurrency=CONCURRENCY, task_root=task_root, runtime=runtime, env=env
    )


def _answer(environment: Emulator, case: Case) -> Answer:
    headers = dict(case.headers)
    if case.do:
        headers["X-Amz-Client-Context"] = encoded({"custom": {"case": case.do}})
    ask = (
        environment.patient_exchange
        if isinstance(environment, ManagedInstance)
        else environment.exchange
    )
    try:
        return ask(case.event, headers)
    except OSError:
        return Answer(0, "", "", b"no answer: the environment ends")


def encoded(client_context: object) -> str:
    return base64.b64encode(json.dumps(client_context).encode()).decode()


class Chance:
    """Takes away what must differ: ids, times, and the folder of the function."""

    _ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    _TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")
    _EMULATORS_OWN = re.compile(
        r"time=|START RequestId|END RequestId|REPORT RequestId|the command begins|.*\(rapi"
    )

    def __init__(self, task_root: Path) -> None:
        self._task_root = task_root

    def _without(self, text: str) -> str:
        text = text.replace(str(self._task_root), "/var/task")
        return self._TIME.sub("<time>", self._ID.sub("<id>", text))

    def body(self, answer: Answer) -> Any:
        text = self._without(answer.body.decode("utf-8", "backslashreplace"))
        try:
            return json.loads(text, parse_constant=str)
        except ValueError:
            return text

    def told(self, log: str) -> Iterator[str]:
        """Yields what the function's log says, in the order of the alphabet: two streams have no other."""
        lines = [line for line in log.split("\n") if line and not self._EMULATORS_OWN.match(line)]
        yield from sorted(self._line(self._without(line)) for line in lines)

    def _line(self, line: str) -> str:
        try:
            record = json.loads(line)
        except ValueError:
            return line
        return json.dumps(record, sort_keys=True, ensure_ascii=False)
