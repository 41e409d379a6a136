"""Lambda functions that use nothing but Python and tell about the process that they run in."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path


def _tick(path):
    while True:
        with Path(path).open("a") as file:
            file.write(".")
        time.sleep(0.002)


def tick(event, context):
    """Starts a thread that writes a dot into a file, again and again."""
    threading.Thread(target=_tick, args=(event,), daemon=True).start()
    while not Path(event).exists():
        time.sleep(0.001)


def echo(event, context):
    print("the event is", event)
    return {"event": event, "pid": os.getpid()}


def facts(event, context):
    return {
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "left": context.get_remaining_time_in_millis(),
        "custom": context.client_context.custom if context.client_context else None,
        "tenant": context.tenant_id,
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
        "environment": dict(os.environ),
    }


def sleep(event, context):
    time.sleep(event)
    return os.getpid()


def until(event, context):
    """Waits for a file."""
    while not Path(event).exists():
        time.sleep(0.01)
    return os.getpid()


def end(event, context):
    """Ends its own process: with a status, or with a signal if it is negative."""
    if event is None:
        return os.getpid()
    if event < 0:
        os.kill(os.getpid(), -event)
    os._exit(event)


def fail(event, context):
    raise ValueError("no luck")


_CHILD = """
import os, sys, time
if sys.argv[1] == "away":  # leaves the session, and its parent
    if os.fork(): os._exit(0)
    os.setsid()
    if os.fork(): os._exit(0)
while True:
    time.sleep(0.002)
    with open(sys.argv[2], "a") as file: file.write(f"{os.getpid()}\\n")
"""


def leave_behind(event, context):
    """Starts processes that go on: one in this session, and one that left it."""
    for how, path in event.items():
        subprocess.Popen([sys.executable, "-c", _CHILD, how, path])
    for path in event.values():
        while not Path(path).exists() or not Path(path).read_text():
            time.sleep(0.001)
    return os.getpid()


def large(event, context):
    return "x" * event


# -- what happens at import, by the environment


def _register(name):
    base = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2020-01-01/extension"
    request = urllib.request.Request(
        f"{base}/register", b'{"events": []}', {"Lambda-Extension-Name": name}
    )
    identifier = urllib.request.urlopen(request).headers["Lambda-Extension-Identifier"]
    ask = urllib.request.Request(
        f"{base}/event/next", headers={"Lambda-Extension-Identifier": identifier}
    )
    threading.Thread(target=urllib.request.urlopen, args=(ask,), daemon=True).start()


def _note_signal(number, frame):
    with Path(os.environ["SIGNALS"]).open("a") as file:
        file.write(json.dumps({"signal": signal.Signals(number).name, "at": time.time()}) + "\n")
    if os.environ.get("OBEY"):
        os._exit(0)


if "SIGNALS" in os.environ:
    signal.signal(signal.SIGTERM, _note_signal)
if "INTERNAL" in os.environ:
    _register(os.environ["INTERNAL"])
if "IMPORT_SECONDS" in os.environ:
    # Only the first time: a flag in a file outlives the process, as /tmp does.
    flag = Path(os.environ["IMPORT_FLAG"])
    if not flag.exists():
        flag.touch()
        time.sleep(float(os.environ["IMPORT_SECONDS"]))
if "IMPORT_AWAITS" in os.environ:
    until(os.environ["IMPORT_AWAITS"], None)
if "IMPORT_ERROR" in os.environ:
    raise RuntimeError(os.environ["IMPORT_ERROR"])
