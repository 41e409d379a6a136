"""A Lambda function that does as it is told: with the interpreter it runs in, and with the API it is served by.

It talks to the Runtime API on connections of its own, beside the runtime that runs it.
"""

import asyncio
import decimal
import http.client
import json
import os
import signal
import socket
import sys
import threading

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
RUNTIME = "/2018-06-01/runtime"
EXTENSION = "/2020-01-01/extension"


def ask(method, path, body=None, headers=None):
    """Sends a request; returns the status and what the answer says in short."""
    connection = http.client.HTTPConnection(API, timeout=20)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    try:
        parsed = json.loads(said)
    except ValueError:
        return [answer.status, said], answer.headers
    if isinstance(parsed, dict) and "errorType" in parsed:
        return [answer.status, parsed["errorType"]], answer.headers
    return [answer.status, parsed], answer.headers


def send(text):
    """Sends bytes as they are; returns the status line's number."""
    host, _, port = API.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(text.encode())
        connection.shutdown(socket.SHUT_WR) if text.endswith("cut") else None
        line = connection.makefile("rb").readline().split()
    return int(line[1]) if line else 0


_identifiers = {}


def step(spec, request_id):
    """Does one step of a script."""
    if "send" in spec:
        return send(spec["send"].replace("{id}", request_id))
    headers = {
        name: _identifiers.get(value.removeprefix("of "), value)
        if value.startswith("of ")
        else value
        for name, value in spec.get("headers", {}).items()
    }
    body = spec.get("body", "")
    body = "x" * body if isinstance(body, int) else body.replace("{id}", request_id)
    short, received = ask(
        spec["method"], spec["path"].replace("{id}", request_id), body.encode(), headers
    )
    if "Lambda-Extension-Identifier" in received:
        _identifiers[spec["headers"]["Lambda-Extension-Name"]] = received[
            "Lambda-Extension-Identifier"
        ]
    return short


def wait_for_event(name):
    """Lets an extension of that name ask for an event, as it must."""
    headers = {"Lambda-Extension-Identifier": _identifiers[name]}
    threading.Thread(
        target=ask, args=("GET", f"{EXTENSION}/event/next", None, headers), daemon=True
    ).start()


seen_at_init = [step(spec, "none") for spec in json.loads(os.environ.get("AT_INIT", "[]"))]
for registered in _identifiers:
    wait_for_event(registered)
if "AT_IMPORT" in os.environ:
    exec(os.environ["AT_IMPORT"])


def handler(event, context):
    if not isinstance(event, dict) or "do" not in event:
        return event
    what, given = event["do"], event.get("with")
    if what == "script":
        return [step(spec, context.aws_request_id) for spec in given]
    if what == "by hand":
        serve_by_hand(given, context.aws_request_id)
    return globals()[what](given, context)


def serve_by_hand(script, request_id):
    """Plays the runtime from here on: does the steps, then answers the next invocation with what it saw."""
    seen = [step(spec, request_id) for spec in script]
    while True:
        _, headers = ask("GET", f"{RUNTIME}/invocation/next")
        request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        ask("POST", f"{RUNTIME}/invocation/{request_id}/response", json.dumps(seen))


# -- what a handler may do


def at_init(given, context):
    return seen_at_init


def pid(given, context):
    return os.getpid()


def variable(name, context):
    return os.environ.get(name)


def fact(name, context):
    value = getattr(context, name)
    return value() if callable(value) else value


def client(given, context):
    return None if context.client_context is None else [context.client_context.custom, context.client_context.env]  # fmt: skip


def identity(given, context):
    return [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id]


def time_left(given, context):
    return 0 < context.get_remaining_time_in_millis() <= given


def evaluate(text, context):
    return eval(text)


def execute(text, context):
    exec(text, globals())


def coroutine(given, context):
    return asyncio.sleep(0)


def number(given, context):
    return decimal.Decimal(given)


def leave(given, context):
    sys.exit(given)


def vanish(given, context):
    os._exit(given)


def kill(given, context):
    os.kill(os.getpid(), getattr(signal, given))
    signal.pause()


def large(given, context):
    return "x" * given
