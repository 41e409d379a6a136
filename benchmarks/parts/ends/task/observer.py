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
events = json.dumps({"events": ["SHUTDOWN"]})
identifier = ask("POST", "register", {"Lambda-Extension-Name": name}, events)[0]
told = ask("GET", "event/next", {"Lambda-Extension-Identifier": identifier})[1]
print(name, "was told", json.loads(told)["shutdownReason"], flush=True)
