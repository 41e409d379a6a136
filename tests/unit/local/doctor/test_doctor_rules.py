"""Each rule sees a module that has the sin, at its line, and nothing is said of one that nearly has it."""

from typing import NamedTuple

import pytest

from warmkit.local.doctor.finding import Severity
from warmkit.local.doctor.rules import RULES

EVENT = '{"id": 1}'
HERE = "# <-"
"""Marks the lines at which the rule must see something."""


class Case(NamedTuple):
    code: str
    name: str
    sin: str
    near: str
    order: dict = {}  # noqa: RUF012  read only


CASES = [
    Case(
        "WK101",
        "locks and queues in a global, a class, a default, a closure",
        """
        import asyncio
        LOCK = asyncio.Lock()  # <-
        class Jobs:
            queue = asyncio.Queue()  # <-
        def wait(event=asyncio.Event()): ...  # <-
        def limited():
            slots = asyncio.Semaphore(3)
            def inner(): return slots  # <-
            return inner
        INNER = limited()
        """,
        """
        import asyncio, threading
        LOCK = threading.Lock()
        KIND = asyncio.Lock
        class Jobs:
            def __init__(self): self.queue = asyncio.Queue()
        async def wait(): return asyncio.Event()
        """,
    ),
    Case(
        "WK101",
        "a loop and a future",
        """
        import asyncio
        LOOP = asyncio.new_event_loop()  # <-
        FUTURES = {"a": LOOP.create_future()}  # <-
        """,
        """
        import asyncio, concurrent.futures
        POLICY = asyncio.DefaultEventLoopPolicy()
        DONE = concurrent.futures.Future()
        """,
    ),
    Case(
        "WK102",
        "async clients in a global, and inside of an object in one",
        """
        import httpx
        import redis.asyncio as redis
        CLIENT = httpx.AsyncClient()  # <-
        class Service:
            def __init__(self): self.cache = redis.Redis()
        SERVICE = Service()  # <-
        """,
        """
        import httpx
        from aiobotocore.session import get_session
        SESSION = get_session()
        TIMEOUT = httpx.Timeout(5)
        def make(): return httpx.AsyncClient()
        """,
    ),
    Case(
        "WK103",
        "clients and connections",
        """
        import http.client, httpx, redis, requests
        SESSION = requests.Session()  # <-
        HTTP = httpx.Client()  # <-
        CACHE = redis.Redis()  # <-
        HOST = http.client.HTTPSConnection("example.com")  # <-
        """,
        """
        import boto3, httpx, requests
        RETRIES = requests.adapters.Retry(3)
        S3 = boto3.client("s3")
        def get(): return requests.Session()
        """,
    ),
    Case(
        "WK103",
        "one that a call puts into a global",
        """
        import requests
        session = None  # <-
        def handler(event, context):
            global session
            session = session or requests.Session()
        """,
        """
        import requests
        session = None
        def handler(event, context):
            with requests.Session() as session: ...
        """,
        {"event": EVENT},
    ),
    Case(
        "WK201",
        "a list, a default, a class attribute, a text, a cache without bounds",
        """
        import functools
        files = []  # <-
        class Log:
            lines = set()  # <-
        text = ""  # <-
        @functools.cache
        def parsed(moment): return moment  # <-
        def collect(item, into=[]): into.append(item)  # <-
        def handler(event, context):
            global text
            files.append(event)
            Log.lines.add(object())
            text += "x"
            parsed(object())
            collect(event)
        """,
        """
        import collections, functools
        cache = {}
        last = collections.deque(maxlen=9)
        count = 0
        @functools.lru_cache(maxsize=9)
        def parsed(moment): return moment
        def handler(event, context):
            global count
            files = []
            files.append(event)
            cache[event["id"]] = files
            last.append(event)
            count += 1
            parsed(object())
        """,
        {"event": EVENT},
    ),
    Case(
        "WK201",
        "of an async handler, in another module's object",
        """
        from warmkit import warm_handler
        import store
        ITEMS = store.ITEMS  # <-
        @warm_handler
        async def handler(event):
            ITEMS.append(event)
        """,
        """
        from warmkit import warm_handler
        @warm_handler
        async def handler(event):
            items = [event]
            event["seen"] = items
        """,
        {"event": EVENT},
    ),
    Case(
        "WK202",
        "a task that nobody awaits",
        """
        import asyncio
        from warmkit import warm_handler
        async def audit():
            await asyncio.sleep(60)  # <-
        @warm_handler
        async def handler(event):
            asyncio.create_task(audit())
            await asyncio.sleep(0)
        """,
        """
        import asyncio
        from warmkit import after_response, resource, warm_handler
        async def audit(): await asyncio.sleep(0)
        async def renew(): await asyncio.Event().wait()
        @resource
        async def token():
            task = asyncio.create_task(renew())
            yield "token"
            task.cancel()
        @warm_handler(token=token)
        async def handler(event, token):
            await asyncio.create_task(audit())
            after_response(audit())
        """,
        {"event": EVENT},
    ),
    Case(
        "WK203",
        "an error",
        """
        def handler(event, context):
            return event["name"]  # <-
        """,
        """
        def handler(event, context):
            return event["id"]
        """,
        {"event": EVENT},
    ),
    Case(
        "WK203",
        "an exit",
        """
        import sys
        def handler(event, context):
            sys.exit(3)  # <-
        """,
        """
        def handler(event, context):
            assert context.get_remaining_time_in_millis() > 0 and context.aws_request_id
        """,
        {"event": EVENT},
    ),
    Case(
        "WK204",
        "a call that waits for ever",
        """
        import threading
        def handler(event, context):
            threading.Event().wait()  # <-
        """,
        """
        import threading
        def handler(event, context):
            threading.Event().wait(0)
        """,
        {"event": EVENT, "call_limit": 1.0},
    ),
    Case(
        "WK301",
        "a module that computes",
        """
        TOTAL = sum(range(5_000_000))
        """,
        """
        def total(): return sum(range(5_000_000))
        """,
        {"slow_ms": 10.0},
    ),
    Case(
        "WK302",
        "a connection",
        """
        import socket
        server = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(server.getsockname()).close()  # <-
        server.close()
        """,
        """
        import socket
        one, other = socket.socketpair(); one.close(); other.close()
        with socket.socket(type=socket.SOCK_DGRAM) as probe: probe.connect(("127.0.0.1", 9))
        socket.getaddrinfo("127.0.0.1", 80)
        def fetch(): socket.create_connection(("127.0.0.1", 9))
        """,
    ),
    Case(
        "WK303",
        "a program",
        """
        import subprocess
        subprocess.run(["true"])  # <-
        """,
        """
        import shutil, subprocess
        TRUE = shutil.which("true")
        def start(): subprocess.run([TRUE])
        """,
    ),
    Case(
        "WK304",
        "a file and a directory in the package",
        """
        from pathlib import Path
        Path("out.txt").write_text("x")  # <-
        Path("cache").mkdir()  # <-
        """,
        """
        import tempfile
        from pathlib import Path
        SELF = Path(__file__).read_text()
        with tempfile.TemporaryFile() as file: file.write(b"x")
        with open("/dev/null", "w") as file: file.write("x")
        """,
    ),
    Case(
        "WK305",
        "a thread",
        """
        import threading
        threading.Thread(target=threading.Event().wait, daemon=True).start()  # <-
        """,
        """
        import threading
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        """,
    ),
    Case(
        "WK306",
        "an import that waits for ever",
        """
        import threading
        threading.Event().wait()  # <-
        """,
        """
        import threading
        threading.Event().wait(0)
        """,
        {"import_limit": 3.0},
    ),
    Case(
        "WK401",
        "signal.signal and a loop's handler",
        """
        import asyncio, signal
        signal.signal(signal.SIGTERM, lambda *_: None)  # <-
        def handler(event, context): ...
        def listen(loop):
            loop.add_signal_handler(signal.SIGTERM, print)  # <-
        """,
        """
        import signal
        signal.signal(signal.SIGUSR1, lambda *_: None)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        """,
    ),
    Case(
        "WK402",
        "SIGALRM",
        """
        import signal
        signal.signal(signal.SIGALRM, lambda *_: None)  # <-
        """,
        """
        import signal
        signal.signal(signal.SIGVTALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_VIRTUAL, 100)
        """,
    ),
    Case(
        "WK501",
        "asyncio.run where a loop runs",
        """
        import asyncio
        async def work(): ...
        async def outer():
            asyncio.run(work())  # <-
            asyncio.get_event_loop().run_until_complete(work())  # <-
        """,
        """
        import asyncio
        async def work(): ...
        async def outer():
            def beside(): asyncio.run(work())
            await asyncio.to_thread(beside)
            await asyncio.to_thread(lambda: asyncio.run(work()))
        """,
    ),
    Case(
        "WK502",
        "asyncio.run below the handler",
        """
        import asyncio
        from functools import partial
        async def work(): ...
        class Service:
            def serve(self): return self.run()
            def run(self):
                return asyncio.run(work())  # <-
        def start(): return partial(asyncio.run, work()), Service().serve()
        def handler(event, context): return start()
        """,
        """
        import asyncio
        async def work(): ...
        def handler(event, context): return 1
        def main(): asyncio.run(work())
        if __name__ == "__main__":
            asyncio.run(work())
        """,
    ),
    Case(
        "WK503",
        "an async def",
        """
        async def handler(event, context):  # <-
            return 1
        """,
        """
        from warmkit import warm_handler
        @warm_handler
        async def handler(event, context):
            return 1
        """,
        {"event": EVENT},
    ),
    Case(
        "WK503",
        "below a decorator that does not await it",
        """
        class Handler:
            async def __call__(self, event, context): return 1  # <- not
        handler = Handler()
        """,
        """
        import functools
        from warmkit import warm_handler
        @warm_handler
        async def inner(event, context):
            return 1
        @functools.wraps(inner)
        def handler(event, context):
            return inner(event, context)
        """,
    ),
    Case(
        "WK504",
        "time.sleep and requests",
        """
        import time, requests
        from warmkit import warm_handler
        @warm_handler
        async def handler(event):
            time.sleep(1)  # <-
            requests.get("http://127.0.0.1")  # <-
        """,
        """
        import asyncio, time, requests
        from warmkit import warm_handler
        def wait(): time.sleep(1)
        @warm_handler
        async def handler(event):
            await asyncio.to_thread(time.sleep, 1)
            await asyncio.to_thread(lambda: requests.get("http://127.0.0.1"))
        """,
    ),
    Case(
        "WK601",
        "a factory that says what it returns",
        """
        from warmkit import resource, warm_handler
        class Connection:
            def close(self): ...
        @resource  # <-
        def connection() -> Connection:
            return Connection()
        @warm_handler(connection=connection)
        def handler(event, connection): ...
        """,
        """
        from collections.abc import Iterator
        from warmkit import resource, warm_handler
        class Connection:
            def close(self): ...
            def __enter__(self): return self
            def __exit__(self, *_): self.close()
        @resource
        def managed() -> Connection:
            return Connection()
        @resource
        def yielded() -> Iterator[Connection]:
            connection = Connection()
            yield connection
            connection.close()
        @resource
        async def prices() -> dict[str, int]:
            return {}
        @warm_handler(a=managed, b=yielded, c=prices)
        def handler(event, a, b, c): ...
        """,
    ),
    Case(
        "WK601",
        "a factory that says nothing, started by a call",
        """
        from warmkit import resource, warm_handler
        class Connection:
            async def aclose(self): ...
        @resource  # <-
        async def connection():
            return Connection()
        @warm_handler(connection=connection)
        async def handler(event, connection): ...
        """,
        """
        from contextlib import asynccontextmanager
        from warmkit import resource, warm_handler
        class Connection:
            async def aclose(self): ...
        @resource
        @asynccontextmanager
        async def connection():
            yield Connection()
        @warm_handler(connection=connection)
        async def handler(event, connection): ...
        """,
        {"event": EVENT},
    ),
    Case(
        "WK602",
        "pools of ten",
        """
        import asyncpg
        from warmkit import resource, warm_handler
        from warmkit.resources import postgres_pool
        db = postgres_pool(max_size=10)  # <-
        async def other(): return await asyncpg.create_pool("postgresql://")  # <-
        """,
        """
        import asyncpg, warmkit
        from warmkit.resources import postgres_pool
        db = postgres_pool()
        one = postgres_pool(max_size=1)
        right = postgres_pool(max_size=warmkit.concurrency())
        async def other(): return await asyncpg.create_pool("", min_size=0, max_size=1)
        if __name__ == "__main__":
            asyncpg.create_pool("")
        """,
    ),
    Case(
        "WK603",
        "asyncpg",
        """
        import sys
        sys.modules["asyncpg"] = None
        from warmkit import warm_handler
        from warmkit.resources import postgres_pool
        @warm_handler(db=postgres_pool())  # <-
        async def handler(event, db): ...
        """,
        """
        from warmkit import warm_handler
        from warmkit.resources import postgres_pool
        @warm_handler(db=postgres_pool())
        async def handler(event, db): ...
        """,
    ),
]


def marked(text):
    lines = enumerate(text.splitlines(), 1)
    return [number for number, line in lines if line.rstrip().endswith(HERE)]


def named(case):
    return f"{case.code}: {case.name}"


@pytest.mark.parametrize("case", CASES, ids=named)
def test_the_sin_is_found_where_it_is(case, diagnose, write):
    write("ITEMS = []\n", name="store")
    report = diagnose(case.sin, **case.order)
    found = [finding for finding in report.findings if finding.code == case.code]
    assert sorted({finding.place.line for finding in found}) == (marked(case.sin) or [0])
    assert all(finding.happens and finding.write and finding.what for finding in found)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_of_what_is_nearly_the_sin_nothing_is_said(case, diagnose):
    report = diagnose(case.near, **case.order)
    assert [item for item in report.findings if item.severity is not Severity.NOTE] == []


def test_every_rule_has_a_sin_and_what_is_nearly_one():
    assert {case.code for case in CASES} == {rule.code for rule in RULES}


def test_codes_are_in_order_and_unique():
    codes = [rule.code for rule in RULES]
    assert codes == sorted(set(codes))
