"""A Lambda function that can do whatever a function does; the client context says which."""

import datetime as dt
import decimal
import enum
import logging
import math
import os
import sys
import time
import uuid
from collections import OrderedDict, namedtuple

log = logging.getLogger("shop")
Point = namedtuple("Point", "x y")  # noqa: PYI024  what is tried is this very type


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class OrderError(Exception):
    pass


class HTTP2_Error(Exception):  # noqa: N801  a name as people give it
    pass


class UntellableError(Exception):
    def __str__(self):
        raise ValueError("no text")


def echo(event, context):
    return event


def kind(event, context):
    return [type(event).__name__, repr(event)[:40]]


def long(event, context):
    return "x" * event


def size(event, context):
    return [len(event), event[:1], event[-1:]]


def chained(event, context):
    try:
        {}["sku"]
    except KeyError as error:
        raise OrderError("no such order") from error


def deep(event, context):
    def down(n):
        return down(n - 1) if n else 1 // 0

    return down(3)


def failing(error):
    def fail(event, context):
        raise error

    return fail


def exit_with(code):
    def leave(event, context):
        sys.exit(code)

    return leave


def end_process(event, context):
    os._exit(7)


def sleep(event, context):
    time.sleep(event)
    return "late"


def facts(event, context):
    return {
        "function": context.function_name,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "arn": context.invoked_function_arn,
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "tenant": context.tenant_id,
        "identity": [
            context.identity.cognito_identity_id,
            context.identity.cognito_identity_pool_id,
        ],
        "client": describe(context.client_context),
        "w3c": context.w3c(),
        "id": len(context.aws_request_id),
        "remaining": type(context.get_remaining_time_in_millis()).__name__,
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
    }


def describe(client_context):
    if client_context is None:
        return None
    client = client_context.client
    return {
        "custom": client_context.custom,
        "env": client_context.env,
        "client": client
        and [
            client.installation_id,
            client.app_title,
            client.app_version_name,
            client.app_version_code,
            client.app_package_name,
        ],
    }


def speak(event, context):
    print("printed")
    print("two\nlines")
    sys.stderr.write("to stderr\n")
    log.debug("debug %s", 1)
    log.info("info %s", {"a": 1})
    log.warning("warning\nof two lines", extra={"sku": "tea", "price": decimal.Decimal("1.5")})
    log.error({"order": 7, "café": True})
    log.log(35, "between")
    log.warning(
        "%s of them", 7, extra={"level": "x", "nothing": None, "errorType": "x", "tenantId": "x"}
    )
    log.warning({"sku": "%s"}, "tea")
    try:
        {}["sku"]
    except KeyError:
        log.exception("failed")
    context.log("by the context\n")
    return "said"


def speak_and_fail(event, context):
    log.warning("soon")
    raise OrderError("no such\norder")


RESULTS = {
    "nothing": None,
    "decimal": {"total": decimal.Decimal("10.50"), "big": decimal.Decimal("1E+3")},
    "decimal nan": decimal.Decimal("NaN"),
    "nan": math.nan,
    "infinity": [math.inf],
    "bytes": b"\x00\xff",
    "bytearray": bytearray(b"ab"),
    "bytes inside": {"content": b"ab"},
    "set": {"tags": {"tea"}},
    "datetime": {"at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
    "uuid": uuid.UUID(int=7),
    "tuple": (1, 2),
    "namedtuple": Point(1, 2),
    "ordered": OrderedDict(b=1, a=2),
    "enum": Color.RED,
    "int enum": Level.HIGH,
    "keys": {7: "a", True: "b", None: "c", 1.5: "d"},
    "tuple key": {(1, 2): 3},
    "generator": (n for n in range(3)),
    "iterator": iter([1]),
    "object": object(),
    "big int": 2**70,
    "float": 0.1 + 0.2,
    "unicode": "caf\u00e9 \u2028 \U0001f600",
    "surrogate": "\ud83d",
    "deep": None,
}
node = RESULTS["deep"] = []
for _ in range(100_000):
    node.append([])
    node = node[0]
circle = []
circle.append(circle)
RESULTS["circle"] = circle

CASES = {
    "echo": echo,
    "kind": kind,
    "long": long,
    "size": size,
    "exit": exit_with(3),
    "exit the process": end_process,
    "sleep": sleep,
    "chained": chained,
    "deep stack": deep,
    "no text": failing(UntellableError()),
    "empty": failing(OrderError()),
    "name": failing(HTTP2_Error("odd")),
    "surrogate text": failing(OrderError("\ud83d")),
    "group": failing(ExceptionGroup("two", [ValueError("a"), TypeError("b")])),
    "builtin": failing(ValueError("no luck")),
    "facts": facts,
    "speak": speak,
    "speak and fail": speak_and_fail,
    **{
        f"return {name}": (lambda event, context, result=result: result)
        for name, result in RESULTS.items()
    },
}


def handler(event, context):
    return CASES[context.client_context.custom["case"]](event, context)


async def asynchronous(event, context):
    return event


leave = exit_with(3)
no_function = 7
