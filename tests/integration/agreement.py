"""The protocol cases in which the local Lambda is compared with AWS's emulator, and where they differ, and why.

AWS's runtime (awslambdaric), unmodified, serves `functions/probe.py` in both. Each case is what a caller does, and
how an answer is looked at; ids and addresses are left out of what is compared.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

RUNTIME = "/2018-06-01/runtime"
EXTENSION = "/2020-01-01/extension"
NOBODY = "00000000-0000-4000-8000-000000000000"


class Came(NamedTuple):
    """An answer of the Invoke API."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is compared.

    Attributes:
        events: What the function is invoked with, one after the other.
        headers: Of each request.
        env: Of the function; if there is any, or `fresh`, the environments are made for this case.
        handler: Of the module `probe`.
        last: Whether only the last answer counts.
        look: "payload", "status" or "error header".
    """

    events: tuple[Any, ...]
    headers: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    handler: str = "probe.handler"
    fresh: bool = False
    last: bool = False
    look: str = "payload"

    @property
    def shared(self) -> bool:
        """Whether it leaves an environment as it was."""
        return not (self.fresh or self.env or self.handler != "probe.handler")

    def seen(self, came: list[Came]) -> list[Any]:
        """Return what is compared."""
        return [self._look(one) for one in (came[-1:] if self.last else came)]

    def _look(self, came: Came) -> Any:
        if self.look == "status":
            return came.status
        if self.look == "error header":
            return came.headers.get("x-amz-function-error")
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "<id>", came.body.decode(errors="replace"))
        try:
            return json.loads(text)
        except ValueError:
            return text


def do(what: str, given: Any = None, **more: Any) -> Case:
    return Case(events=({"do": what, "with": given},), **more)


def script(*steps: dict[str, Any], **more: Any) -> Case:
    return do("script", list(steps), **more)


def by_hand(*steps: dict[str, Any]) -> Case:
    """The caller's answer to the first counts, and what the function saw, told with the second."""
    return Case(events=({"do": "by hand", "with": list(steps)}, {}), fresh=True)


def at_init(*steps: dict[str, Any], **more: Any) -> Case:
    return do("at_init", env={"AT_INIT": json.dumps(list(steps))}, **more)


def at_import(code: str) -> Case:
    return Case(events=({}, {}), env={"AT_IMPORT": code})


def ask(method: str, path: str, body: str | int = "", **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"method": method, "path": path, "body": body, "headers": named}


def register(name: str | None, body: str = "{}", **headers: str) -> dict[str, Any]:
    named = {} if name is None else {"Lambda_Extension_Name": name}
    return ask("POST", f"{EXTENSION}/register", body, **named, **headers)


def response(
    body: str | int = '"by hand"', request_id: str = "{id}", **headers: str
) -> dict[str, Any]:
    return ask("POST", f"{RUNTIME}/invocation/{request_id}/response", body, **headers)


def error(
    body: str = '{"errorType": "Mine"}', request_id: str = "{id}", **headers: str
) -> dict[str, Any]:
    return ask("POST", f"{RUNTIME}/invocation/{request_id}/error", body, **headers)


def stream(*rest: str, mode: str = "streaming") -> dict[str, str]:
    head = (
        f"POST {RUNTIME}/invocation/{{id}}/response HTTP/1.1\r\nHost: x\r\n"
        f"Lambda-Runtime-Function-Response-Mode: {mode}\r\nTransfer-Encoding: chunked\r\n"
        "Trailer: Lambda-Runtime-Function-Error-Type\r\nTrailer: Lambda-Runtime-Function-Error-Body\r\n\r\n"
    )
    return {"send": head + "".join(rest)}


EVENTS: dict[str, Any] = {
    "null": None,
    "true": True,
    "zero": 0,
    "a negative number": -1,
    "a fraction": 1.5,
    "a tiny number": 5e-324,
    "a huge number": 1e300,
    "a whole number of 22 digits": 2**70,
    "an empty text": "",
    "a text": "text",
    "an accent": "\u00e9",
    "a zero character": "\0",
    "a line separator": "\u2028",
    "an emoji": "\U0001f600",
    "half a surrogate pair": "\ud83d",
    "an empty list": [],
    "a nested list": [1, [2, [3, []]]],
    "an empty object": {},
    "a nested object": {"a": {"b": {"c": None}}},
    "an empty key": {"": 1},
    "50 levels": json.loads("[" * 50 + "]" * 50),
    "1 MB": "x" * 1_000_000,
    "5.9 MB": "x" * 5_900_000,
}
RESULTS = {
    "a tuple": "(1, 2)",
    "a set": "{1}",
    "bytes": "b'raw'",
    "bytes that are no text": "bytes([0, 255])",
    "a whole float": "1.0",
    "keys that are numbers": "{1: 2, None: 3, True: 4}",
    "a key that is a tuple": "{(1, 2): 3}",
    "an object of a class": "object()",
    "an exception": "ValueError('x')",
    "a class": "int",
    "a generator": "(x for x in [])",
    "not a number": "float('nan')",
    "infinity": "float('inf')",
    "a text that is JSON": "'{}'",
}
RAISED = {
    "a ValueError": "raise ValueError('no luck')",
    "one without a message": "raise ValueError",
    "one with an accent": "raise ValueError('\u00e9')",
    "one with a line break": "raise ValueError('a\\nb')",
    "a KeyError": "{}['x']",
    "a division": "1 / 0",
    "one with a cause": "raise ValueError('outer') from KeyError('inner')",
    "a group": "raise ExceptionGroup('many', [ValueError(1)])",
    "a TimeoutError": "raise TimeoutError",
    "a class of one's own": "raise type('Mine', (Exception,), {})('own')",
    "too deep a recursion": "f = lambda: f()\nf()",
}
WRONG_REGISTRATIONS = {
    "without a name": register(None),
    "with an empty name": register(""),
    "without a body": register("late", ""),
    "with a list for a body": register("late", "[]"),
    "with events that are no list": register("late", '{"events": "INVOKE"}'),
    "with an event that is a number": register("late", '{"events": [1]}'),
    "for an unknown event": register("late", '{"events": ["NIGHT"]}'),
    "for an event in small letters": register("late", '{"events": ["invoke"]}'),
    "for SHUTDOWN": register("late", '{"events": ["SHUTDOWN"]}'),
    "with configuration keys": register("late", '{"configurationKeys": ["a"]}'),
    "after the init phase": register("late"),
}
OTHER_REQUESTS = {
    "a ping": ask("GET", "/2018-06-01/ping"),
    "the root": ask("GET", "/"),
    "another version": ask("GET", "/2018-06-02/runtime/invocation/next"),
    "an unknown path": ask("GET", f"{RUNTIME}/nothing"),
    "POST next": ask("POST", f"{RUNTIME}/invocation/next"),
    "DELETE next": ask("DELETE", f"{RUNTIME}/invocation/next"),
    "GET a response": ask("GET", f"{RUNTIME}/invocation/{{id}}/response"),
    "PUT an error": ask("PUT", f"{RUNTIME}/invocation/{{id}}/error"),
    "GET init error": ask("GET", f"{RUNTIME}/init/error"),
    "GET register": ask("GET", f"{EXTENSION}/register"),
    "POST event next": ask("POST", f"{EXTENSION}/event/next"),
    "GET exit error": ask("GET", f"{EXTENSION}/exit/error"),
    "restore without a snapshot": ask("GET", f"{RUNTIME}/restore/next"),
    "a restore error without a snapshot": ask("POST", f"{RUNTIME}/restore/error", "{}"),
    "the logs API": ask("PUT", "/2020-08-15/logs", "{}"),
    "the telemetry API": ask("PUT", "/2022-07-01/telemetry", "{}"),
    "GET the telemetry API": ask("GET", "/2022-07-01/telemetry"),
    "a response to nobody": response(request_id=NOBODY),
    "an error of nobody": error(request_id=NOBODY),
    "an init error after the init phase": ask("POST", f"{RUNTIME}/init/error", "{}"),
    "the metadata without a token": ask("GET", "/2026-01-15/metadata/execution-environment"),
}
UNKNOWN_EXTENSIONS = {
    f"{path}, {name}": ask(
        "GET" if path == "event/next" else "POST",
        f"{EXTENSION}/{path}",
        Lambda_Extension_Function_Error_Type="Extension.Mine",
        **({"Lambda_Extension_Identifier": identifier} if identifier else {}),
    )
    for path in ("event/next", "init/error", "exit/error")
    for name, identifier in {
        "without an identifier": "",
        "with a wrong one": "nonsense",
        "with an unknown one": NOBODY,
    }.items()
}
KIND = "Lambda_Runtime_Function_Error_Type"
FAILED_STREAM = (
    "3\r\nabc\r\n0\r\nLambda-Runtime-Function-Error-Type: Function.Mine\r\n"
    f"Lambda-Runtime-Function-Error-Body: {base64.b64encode(b'{}').decode()}\r\n\r\n"
)
BY_HAND: dict[str, tuple[dict[str, Any], ...]] = {
    "a response": (response(),),
    "a response that is no JSON": (response("no json"),),
    "an empty response": (response(""),),
    "two responses": (response(), response('"second"')),
    "a response, then an error": (response(), error()),
    "an error": (error(),),
    "two errors": (error(), error()),
    "an error, then a response": (error(), response()),
    "an error without a body": (error(""),),
    "an error that is no JSON": (error("no json"),),
    "an error with a type": (error(**{KIND: "Function.Mine"}),),
    "an error with a type of another form": (error(**{KIND: "mine"}),),
    "a response that is too large": (response(6_291_557),),
    "the largest response": (response(6_291_556),),
    "next again, then a response": (ask("GET", f"{RUNTIME}/invocation/next"), response()),
    "an init error, then a response": (ask("POST", f"{RUNTIME}/init/error", "{}"), response()),
    "a stream": (stream("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),),
    "an empty stream": (stream("0\r\n\r\n"),),
    "a stream, then a response": (stream("1\r\na\r\n0\r\n\r\n"), response()),
    "a stream that fails": (stream(FAILED_STREAM),),
    "an answer to nobody, then a response": (response(request_id=NOBODY), response()),
}
MINE = {"Lambda_Extension_Identifier": "of mine"}
AT_INIT: dict[str, tuple[dict[str, Any], ...]] = {
    "one for nothing": (register("mine"),),
    "one for no events": (register("mine", '{"events": []}'),),
    "one that asks for the account": (
        register("mine", Lambda_Extension_Accept_Feature="accountId"),
    ),
    "one that asks for what is not there": (register("mine", Lambda_Extension_Accept_Feature="x"),),
    "two of one name": (register("mine"), register("mine")),
    "eleven": tuple(register(f"n{number}") for number in range(11)),
    "one for SHUTDOWN": (register("mine", '{"events": ["SHUTDOWN"]}'),),
    "one for both": (register("mine", '{"events": ["INVOKE", "SHUTDOWN"]}'),),
    "an init error without a type": (
        register("mine"),
        ask("POST", f"{EXTENSION}/init/error", "{}", **MINE),
    ),
    "an exit error without a type": (
        register("mine"),
        ask("POST", f"{EXTENSION}/exit/error", "{}", **MINE),
    ),
    "a response": (response(request_id=NOBODY),),
}
IMPORTS = {
    "an exception": "raise ValueError('at import')",
    "an ImportError": "import nothing_of_that_name",
    "os._exit(3)": "os._exit(3)",
    "os._exit(0)": "os._exit(0)",
    "a signal": "os.kill(os.getpid(), signal.SIGKILL)",
    "sys.exit": "sys.exit(4)",
}
CONTEXT = base64.b64encode(b'{"custom": {"a": "b"}, "env": {"c": "d"}}').decode()

CASES: dict[str, Case] = {
    **{f"event: {name}": Case(events=(event,)) for name, event in EVENTS.items()},
    **{f"result: {name}": do("evaluate", text) for name, text in RESULTS.items()},
    "result: a coroutine": do("coroutine"),
    "result: a Decimal": do("number", "1.10"),
    **{f"raised: {name}": do("execute", text) for name, text in RAISED.items()},
    **{
        f"fact: {name}": do("fact", name)
        for name in (
            "function_name",
            "function_version",
            "memory_limit_in_mb",
            "tenant_id",
        )
    },
    "fact: no client context": do("client"),
    "fact: a client context": do("client", headers={"X-Amz-Client-Context": CONTEXT}),
    "fact: no identity": do("identity"),
    "fact: a tenant": do("fact", "tenant_id", headers={"X-Amz-Tenant-Id": "blue"}, fresh=True),
    "fact: the time left": do("time_left", 5000),
    "fact: the time left of a longer timeout": do(
        "time_left", 9000, env={"AWS_LAMBDA_FUNCTION_TIMEOUT": "9"}
    ),
    **{
        f"variable: {name}": do("variable", name)
        for name in (
            "AWS_LAMBDA_FUNCTION_NAME",
            "AWS_LAMBDA_FUNCTION_VERSION",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            "_HANDLER",
            "AWS_REGION",
            "TZ",
            "AWS_LAMBDA_INITIALIZATION_TYPE",
            "AWS_LAMBDA_MAX_CONCURRENCY",
        )
    },
    **{f"request: {name}": script(step) for name, step in OTHER_REQUESTS.items()},
    **{f"extension: {name}": script(step) for name, step in UNKNOWN_EXTENSIONS.items()},
    **{f"late registration {name}": script(step) for name, step in WRONG_REGISTRATIONS.items()},
    **{f"by hand: {name}": by_hand(*steps) for name, steps in BY_HAND.items()},
    **{f"extensions at init: {name}": at_init(*steps) for name, steps in AT_INIT.items()},
    **{f"import: {name}": at_import(code) for name, code in IMPORTS.items()},
    "handler: not there": Case(events=({}, {}), handler="probe.nothing"),
    "handler: no such module": Case(events=({}, {}), handler="nowhere.handler"),
    "end: os._exit(3)": do("vanish", 3, fresh=True),
    "end: os._exit(0)": do("vanish", 0, fresh=True),
    "end: sys.exit": do("leave", 1, fresh=True),
    "end: SIGKILL": do("kill", "SIGKILL", fresh=True),
    "end: SIGTERM": do("kill", "SIGTERM", fresh=True),
    "end: and the next invocation": Case(
        events=({"do": "vanish", "with": 1}, {"still": "there"}), fresh=True, last=True
    ),
    "status: a result": Case(events=({},), look="status"),
    "status: an exception": do("execute", "1 / 0", look="status"),
    "status: a crash": do("vanish", 3, fresh=True, look="status"),
    "status: a failed import": Case(events=({},), env={"AT_IMPORT": "1 / 0"}, look="status"),
    "error header: a result": Case(events=({},), look="error header"),
    "error header: an exception": do("execute", "1 / 0", look="error header"),
    "timeout: the answer": do(
        "execute", "import time; time.sleep(60)", env={"AWS_LAMBDA_FUNCTION_TIMEOUT": "1"}
    ),
    "timeout: and the next invocation": Case(
        events=({"do": "execute", "with": "import time; time.sleep(60)"}, {"still": "there"}),
        env={"AWS_LAMBDA_FUNCTION_TIMEOUT": "1"},
        last=True,
    ),
}

_VARIABLE = "a variable that Lambda documents, and the emulator does not set"
_INVOKE = "Lambda's Invoke API answers 200 with X-Amz-Function-Error, as documented; the emulator 502 or without it"
_EXIT = "Lambda reports a runtime that ends in its init phase as Runtime.ExitError; the emulator's answer is empty"
DIFFERENCES: dict[str, str] = {
    "variable: AWS_REGION": _VARIABLE,
    "variable: TZ": _VARIABLE,
    "variable: AWS_LAMBDA_INITIALIZATION_TYPE": _VARIABLE,
    "extensions at init: one that asks for the account": "documented for Lambda; the emulator has no account",
    **{f"import: {name}": _EXIT for name in ("os._exit(3)", "os._exit(0)", "a signal", "sys.exit")},
    "status: a crash": _INVOKE,
    "status: a failed import": _INVOKE,
    "error header: an exception": _INVOKE,
    "timeout: the answer": "Lambda's answer is JSON with Sandbox.Timedout; the emulator's is the line of the log",
}
"""Each case in which they do not do the same, and the reason."""
