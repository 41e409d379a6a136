"""WK5xx: what the text of the user's modules says about loops and waiting."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Any

from warmkit.local.doctor.finding import Found, Place, Severity
from warmkit.local.doctor.reach import reached_from
from warmkit.local.doctor.rule import rule
from warmkit.local.target import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warmkit.local.doctor.source import Call
    from warmkit.local.doctor.subject import Subject

_RUNS = {
    "asyncio.run",
    "asyncio.Runner",
    "asyncio.new_event_loop",
    "anyio.run",
    "trio.run",
    "uvloop.run",
}
_NESTS = _RUNS - {"asyncio.new_event_loop", "asyncio.Runner"}
_BLOCKS = {
    "time.sleep": "asyncio.sleep",
    "urllib.request.urlopen": "httpx.AsyncClient",
    "os.system": "asyncio.create_subprocess_shell",
    **{
        f"subprocess.{name}": "asyncio.create_subprocess_exec"
        for name in ("run", "call", "check_call", "check_output")
    },
    **{
        f"requests.{name}": "httpx.AsyncClient"
        for name in ("get", "post", "put", "patch", "delete", "head", "request")
    },
}


@rule(
    "WK501",
    Severity.ERROR,
    "asyncio.run inside of async def",
    happens="RuntimeError: a loop runs already",
    write="await the coroutine",
)
def nested_run(subject: Subject) -> Iterator[Found]:
    """See a call that runs a loop, directly in the body of an async def."""
    for source, call in subject.text_calls:
        inside = isinstance(call.function, ast.AsyncFunctionDef)
        if inside and (call.name in _NESTS or call.name.endswith(".run_until_complete")):
            assert call.function is not None
            what = f"{call.name.removeprefix('?.')} in async def {call.function.name}"
            yield Found(source.place(call.node.lineno), what)


@rule(
    "WK502",
    Severity.WARNING,
    "a new event loop for each call",
    happens="every call makes a loop, and ends it with all connections that belong to it: what is kept for the "
    "next call fails there with 'Event loop is closed'",
    write="an async def with @warm_handler: its loop lives as long as the environment",
)
def run_per_call(subject: Subject) -> Iterator[Found]:
    """See asyncio.run in what the handler calls, as far as names tell."""
    reached = reached_from(subject.target, subject.sources)
    for source, call in subject.text_calls:
        if call.name in _RUNS and _in_plain_code(call) and reached.intersection(call.within):
            what = f"{call.name} in {call.function.name if call.function else 'a lambda'}, which calls lead to"
            yield Found(source.place(call.node.lineno), what)


@rule(
    "WK503",
    Severity.ERROR,
    "an async def that nobody awaits",
    happens="AWS's Python runtime calls it and gets a coroutine: Runtime.MarshalError, 'Object of type coroutine "
    "is not JSON serializable'; none of it runs",
    write="@warm_handler above it",
)
def bare_async(subject: Subject) -> Iterator[Found]:
    """See a handler whose own call is a coroutine: a warm handler's is not."""
    handler = subject.target.handler
    call = vars(type(handler)).get("__call__")
    kinds = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    if any(kind(item) for kind in kinds for item in (handler, call)):
        what = f"{subject.target.name} is an async def, and nothing awaits it"
        yield Found(_place(handler), what)


@rule(
    "WK504",
    Severity.WARNING,
    "a blocking call in async def",
    happens="the loop stands still: other invocations wait, checks and deadlines come late",
    write="its async counterpart, or await asyncio.to_thread(...)",
)
def blocks(subject: Subject) -> Iterator[Found]:
    """See well-known calls that wait, directly in the body of an async def."""
    for source, call in subject.text_calls:
        if call.name in _BLOCKS and isinstance(call.function, ast.AsyncFunctionDef):
            what = f"{call.name} in async def {call.function.name} blocks the event loop"
            write = f"{_BLOCKS[call.name]}, or await asyncio.to_thread({call.name}, ...)"
            yield Found(source.place(call.node.lineno), what, write=write)


def _in_plain_code(call: Call) -> bool:
    return not isinstance(call.function, ast.AsyncFunctionDef)


def _place(handler: Any) -> Place:
    code = getattr(inspect.unwrap(handler), "__code__", None)
    return Place() if code is None else Place(shown(code.co_filename), code.co_firstlineno)
