#!/usr/bin/env python3
"""An external extension: it waits for the end, which it is told of, and exits."""

import http.client
import json
import os
import sys
from pathlib import Path

connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def ask(method: str, path: str, headers: dict[str, str], body: str = "") -> tuple[str, bytes]:
    connection.request(method, f"/2020-01-01/extension/{path}", body, headers)
    answer = connection.getresponse()
    return answer.headers.get("Lambda-Extension-Identifier", ""), answer.read()


name = Path(sys.argv[0]).stem
identifier, _ = ask(
    "POST", "register", {"Lambda-Extension-Name": name}, json.dumps({"events": ["SHUTDOWN"]})
)
_, event = ask("GET", "event/next", {"Lambda-Extension-Identifier": identifier})
print(name, "was told", json.loads(event)["shutdownReason"], flush=True)
