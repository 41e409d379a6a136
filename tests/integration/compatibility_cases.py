"""The cases in which both runtimes are compared, and the reasons why warmkit's may differ in some."""

from __future__ import annotations

import json

from compatibility import MANY, ONE, Case, encoded

BIG = 5_900_000
LIMIT = 6 * 1024 * 1024 + 100
JSON_LOG, TEXT_LOG = ("AWS_LAMBDA_LOG_FORMAT", "JSON"), ("AWS_LAMBDA_LOG_FORMAT", "Text")
DEBUG = ("AWS_LAMBDA_LOG_LEVEL", "DEBUG")
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"

SAYS_WHERE = "the message says where in the result it is, and what to return instead"
STRICT = "no caller can read NaN or Infinity: JSON has none"
LIVES = "AWS's process ends, and the caller learns nothing of the error"
ONE_PROCESS = "the price of one process: it ends for all; AWS's caller waits for the timeout, and its process is never replaced"


def always(reason: str) -> dict[str, str]:
    return {ONE: reason, MANY: reason} if reason else {}


EVENTS = [
    Case("an object", event=b'{"n": 1, "list": [1, 2.5, null, true], "deep": {"a": {}}}'),
    Case("a list", event=b"[]"),
    Case("a text", event=b'"text"'),
    Case("a number", event=b"3.5"),
    Case("a large number", "kind", b"123456789012345678901234567890"),
    Case("an exponent", "kind", b"1e400"),
    Case("null", "kind", b"null"),
    Case("true", "kind", b"true"),
    Case("text beyond ASCII", event='"café \u2028 \U0001f600 \\u00e9"'.encode()),
    Case("half a surrogate pair, escaped", "kind", b'"\\ud83d"'),
    Case("a key twice", event=b'{"a": 1, "a": 2}'),
    Case("white space around", event=b" \n[1]\t "),
    Case("a byte order mark", event=b"\xef\xbb\xbf[1]"),
    Case("UTF-16", "kind", "[1]".encode("utf-16")),
    Case("5.9 MB", "size", json.dumps("x" * BIG).encode()),
    Case("no JSON", event=b"{"),
    Case("two values", event=b"1 2"),
    Case("nothing", event=b""),
    Case("NaN", "kind", b"NaN"),
    Case("bytes that are no UTF-8", event=b'"\xff"'),
    Case("nested 100,000 times", event=b"[" * 100_000),
    Case("another content type", "kind", b"\x00\x01", {"Content-Type": "application/x-protobuf"}),
    Case(
        "JSON with a charset",
        "kind",
        b"[1]",
        {"Content-Type": "application/json; charset=utf-8"},
        better={MANY: "JSON is JSON, whatever parameters its content type has"},
    ),
]

RESULTS = [
    Case(name, f"return {do}", better=always(better))
    for name, do, better in [
        ("None", "nothing", ""),
        ("a Decimal", "decimal", ""),
        ("a Decimal that is NaN", "decimal nan", STRICT),
        ("NaN", "nan", STRICT),
        ("Infinity", "infinity", STRICT),
        ("bytes", "bytes", ""),
        ("a bytearray", "bytearray", "it is sent as it is, as bytes are"),
        ("bytes within", "bytes inside", ""),
        ("a set", "set", SAYS_WHERE),
        ("a datetime", "datetime", SAYS_WHERE),
        ("a UUID", "uuid", SAYS_WHERE),
        ("a tuple", "tuple", ""),
        ("a named tuple", "namedtuple", ""),
        ("an OrderedDict", "ordered", ""),
        ("an enum", "enum", SAYS_WHERE),
        ("an IntEnum", "int enum", ""),
        ("keys that are no text", "keys", ""),
        ("a key that is a tuple", "tuple key", SAYS_WHERE),
        ("a generator", "generator", SAYS_WHERE),
        ("an iterator", "iterator", SAYS_WHERE),
        ("an object of a class", "object", SAYS_WHERE),
        ("a large number", "big int", ""),
        ("a float", "float", ""),
        ("text beyond ASCII", "unicode", ""),
        ("nested 100,000 times", "deep", "the message says what is wrong"),
        ("what contains itself", "circle", SAYS_WHERE),
    ]
] + [
    Case("half a surrogate pair", "return surrogate", alone=True, better=always(LIVES)),
    Case("5.9 MB", "long", str(BIG).encode()),
    Case("as much as Lambda takes", "long", str(LIMIT - 2).encode()),
    Case(
        "more than 6 MB",
        "long",
        str(LIMIT).encode(),
        better=always("the message says what to do; it is not sent first"),
    ),
    Case("of an `async def`", handler="compat.asynchronous", better=always("it is served")),
]

FAILURES = [
    Case("an exception", "builtin"),
    Case("with a cause", "chained"),
    Case("from deep within", "deep stack"),
    Case("without a text", "empty"),
    Case("whose class has digits and underscores", "name"),
    Case("a group", "group"),
    Case("whose text cannot be made", "no text", alone=True, better=always(LIVES)),
    Case(
        "whose text has half a surrogate pair", "surrogate text", alone=True, better=always(LIVES)
    ),
    Case("`sys.exit`", "exit", alone=True, better=always("it fails that invocation alone")),
    Case("`os._exit`", "exit the process", alone=True, better={MANY: ONE_PROCESS}),
    Case(
        "the function's timeout",
        "sleep",
        b"30",
        alone=True,
        env=(("AWS_LAMBDA_FUNCTION_TIMEOUT", "4"),),
        better={ONE: "the environment lives on, with all its connections"},
    ),
]

CONTEXTS = [
    Case("no client context", "", handler="compat.facts"),
    Case(
        "a client context",
        "",
        handler="compat.facts",
        headers={
            "X-Amz-Client-Context": encoded(
                {
                    "custom": {"a": 1},
                    "env": {"locale": "de"},
                    "client": {"app_title": "Shop", "installation_id": "7"},
                }
            )
        },
    ),
    Case(
        "W3C's trace context in it",
        "facts",
        headers={
            "X-Amz-Client-Context": encoded(
                {
                    "custom": {"case": "facts"},
                    "w3c": {"traceparent": "00-1-2-01", "baggage": 3, "more": "x"},
                }
            )
        },
    ),
    Case(
        "a client context that is no object",
        "",
        handler="compat.facts",
        headers={"X-Amz-Client-Context": encoded([1])},
        better=always("the message says what is wrong; AWS's fails in its own code"),
    ),
    Case(
        "a trace id",
        "facts",
        headers={"X-Amzn-Trace-Id": TRACE},
        better={
            MANY: "`_X_AMZN_TRACE_ID` belongs to the process, where it would be wrong for all but one: `current.trace_id` has it"
        },
    ),
    Case("a tenant", "facts", headers={"X-Amz-Tenant-Id": "blue"}),
]

LOADING = [
    Case(name, handler=handler, alone=True, better=better)
    for name, handler, better in [
        ("a module that is not there", "absent.handler", {}),
        ("a module that needs one that is not there", "needs.handler", {}),
        ("a module that imports a name that is not there", "needs_name.handler", {}),
        ("a module that raises", "raises.handler", {MANY: "the platform is told the type"}),
        ("a module that exits", "exits.handler", always("the platform is told why")),
        ("a syntax error", "unfinished.handler", {}),
        ("a function that is not there", "compat.absent", {}),
        (
            "what is no function",
            "compat.no_function",
            always("it fails in the init phase, once and for all"),
        ),
        ("a name without a dot", "compat", {ONE: "the message shows what it must be"}),
        ("a built-in module", "sys.exit", {}),
        ("a path with slashes", "package/module.handler", {}),
    ]
]

_SPOKEN = {ONE: "a traceback ends with a new line", MANY: "a traceback ends with a new line"}
_POOL = {MANY: "AWS's says that it makes a pool of processes"}
LOGS = [
    Case("lines of all kinds, as text", "speak", log=True, env=(TEXT_LOG,), better=_SPOKEN),
    Case("the same from DEBUG on", "speak", log=True, env=(TEXT_LOG, DEBUG), better=_SPOKEN),
    Case("lines of all kinds, as JSON", "speak", log=True, env=(JSON_LOG,)),
    Case("the same as JSON from DEBUG on", "speak", log=True, env=(JSON_LOG, DEBUG), better=_POOL),
    Case("a failure, as text", "speak and fail", log=True, env=(TEXT_LOG,)),
    Case("a failure, as JSON", "speak and fail", log=True, env=(JSON_LOG,)),
    Case(
        "a module that raises",
        handler="raises.handler",
        alone=True,
        log=True,
        env=(TEXT_LOG,),
        better=always("AWS's warns that a change of its runtime may be the reason"),
    ),
]

CHAPTERS = {
    "Events": EVENTS,
    "Results": RESULTS,
    "Failures": FAILURES,
    "The context": CONTEXTS,
    "Loading": LOADING,
    "Logs": LOGS,
}
