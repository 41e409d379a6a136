"""How long from a fresh process to the first answer of S3, beside stock aiobotocore?

A `@warm_handler` with `s3_client()`, called once; and what a good engineer writes by hand: `asyncio.run`, and
`get_session().create_client("s3")`. Both get the same object from the same server (moto's, in a process of its own, that
is there already), with the same endpoint and credentials from the environment, and check it. All of it once over TLS, as S3 is used: a server
whose root certificate has the name of Amazon's and is one among 120 is reached by the name of Amazon's endpoint, by both with the same three lines.
And once without. Time is taken from before the process is started until its answer has arrived here; beside it stands the processor time that
the process had used by then, which other work on the machine disturbs less. Then where the time of stock aiobotocore goes.

The measured processes run on this interpreter, or on that of COLD_PYTHON: one of an environment with the extra `aws` and nothing
else shows what a function has, as aiobotocore imports httpx as well where that is installed.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Finding, Row
from benchmarks.harness.run import ROOT, Run, turns
from warmkit.local.s3_server import S3Server

NOT_SHOWN = "Two cores are free here; on one, as a small function has it, a part of the gain is gone (docs/explanation/aws-cold-start.md has both)."

BUCKET, KEY, CONTENT = "cold", "key", b"three cups of tea"
PYTHON = os.environ.get("COLD_PYTHON", sys.executable)
TLS = ROOT / "tests" / "integration" / "amazon_tls.py"
WARM, STOCK, AGAIN = "warmkit", "by hand, stock aiobotocore", "by hand, again"

WITH_WARMKIT = """
import sys, time

from warmkit import warm_handler
from warmkit.resources import s3_client


@warm_handler(s3=s3_client())
async def handler(event, context, s3):
    answer = await s3.get_object(Bucket=event["bucket"], Key=event["key"])
    async with answer["Body"] as body:
        return (await body.read()).decode()


print(handler({"bucket": sys.argv[1], "key": sys.argv[2]}, None), time.process_time(), sep="|", flush=True)
"""

BY_HAND = """
import asyncio, sys, time

from aiobotocore.session import get_session


async def main():
    async with get_session().create_client("s3") as s3:
        answer = await s3.get_object(Bucket=sys.argv[1], Key=sys.argv[2])
        async with answer["Body"] as body:
            text = (await body.read()).decode()
        print(text, time.process_time(), sep="|", flush=True)


asyncio.run(main())
"""

NAMES = """
import os, socket

found = socket.getaddrinfo
socket.getaddrinfo = lambda host, port, *more, **options: found("127.0.0.1", os.environ["COLD_PORT"], *more, **options)
"""

STAGES = """
import time
begun = time.perf_counter()
stages = []


def stage(name):
    global begun
    stages.append((name, (time.perf_counter() - begun) * 1000))
    begun = time.perf_counter()


import asyncio, json, sys
stage("import asyncio")
import ssl
ssl.create_default_context()
begun = time.perf_counter()
ssl.create_default_context()
tls = (time.perf_counter() - begun) * 1000
begun = time.perf_counter()
import aiohttp
stage("import aiohttp, with two TLS contexts")
import botocore.session
stage("import botocore")
from aiobotocore.session import get_session
stage("import the rest of aiobotocore")


async def main():
    session = get_session()
    stage("the session")
    loader = session.get_component("data_loader")
    loader.load_data("endpoints"), loader.load_data("partitions")
    stage("endpoint data")
    loader.list_available_services("service-2"), loader.list_available_services("endpoint-rule-set-1")
    stage("the list of the services")
    loader.load_service_model("s3", "service-2"), loader.load_service_model("s3", "endpoint-rule-set-1")
    stage("the models of S3")
    async with session.create_client("s3") as s3:
        stage("the client, without these")
        for number in "first", "second":
            answer = await s3.get_object(Bucket=sys.argv[1], Key=sys.argv[2])
            async with answer["Body"] as body:
                await body.read()
            stage(f"the {number} request" + (", with one TLS context" if number == "first" else ""))
    stages.append(("(a TLS context)", tls))
    print(json.dumps(stages))


asyncio.run(main())
"""

PROGRAMS = {WARM: WITH_WARMKIT, STOCK: BY_HAND, AGAIN: BY_HAND}


class Sample(NamedTuple):
    """Milliseconds until the answer."""

    wall: float
    processor: float


def ask(run: Run) -> Answer:
    with S3Server() as server, tempfile.TemporaryDirectory() as cache:
        server.put_objects(BUCKET, {KEY: CONTENT})
        environment = clean(server, cache)
        for program in (WITH_WARMKIT, BY_HAND):  # compiles every module
            start(program, environment)
        with over_tls(server.port, environment) as elsewhere:
            taken = {"https": measure(run, NAMES, elsewhere)}
        if not run.quick:
            taken["http"] = measure(run, "", environment)
        stages = [stages_of(environment) for _ in run.rounds(11, quick=3, doing="stages")]
    comparisons = [
        comparison for scheme, samples in taken.items() for comparison in compare(scheme, samples)
    ]
    parts = Comparison(
        "stages",
        "where a cold start of stock aiobotocore goes",
        "ms",
        [Row(name, [[item[name]] for item in stages]) for name in stages[0]],
    )
    return Answer([*comparisons, parts], [finding(item) for item in comparisons])


def compare(scheme: str, taken: dict[str, list[Sample]]) -> list[Comparison]:
    return [
        Comparison(
            f"{scheme}_{which}",
            f"a fresh process to the first answer of S3 over {scheme}, {which} time",
            "ms",
            [
                Row(name, [[getattr(item, which)] for item in items])
                for name, items in taken.items()
            ],
            base=STOCK,
            again=AGAIN,
        )
        for which in ("wall", "processor")
    ]


def finding(comparison: Comparison) -> Finding:
    wall = comparison.name.endswith("wall")
    return Finding(
        comparison.name,
        f"{comparison.title}: {{}} of stock aiobotocore's",
        figures.ratio(comparison.row(WARM), comparison.row(STOCK)),
        at_most=0.75 if wall else None,
        closing=comparison.name == "https_wall",
    )


def measure(run: Run, before: str, environment: Mapping[str, str]) -> dict[str, list[Sample]]:
    taken: dict[str, list[Sample]] = {name: [] for name in PROGRAMS}
    start(before + WITH_WARMKIT, environment)
    for number in run.rounds(20, quick=3):
        for name in turns(list(PROGRAMS), number):
            taken[name].append(start(before + PROGRAMS[name], environment))
    return taken


def start(program: str, environment: Mapping[str, str]) -> Sample:
    begun = time.perf_counter()
    with subprocess.Popen(
        [PYTHON, "-c", program, BUCKET, KEY],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        text, _, processor = process.stdout.readline().partition("|")
        wall = time.perf_counter() - begun
    assert (text, process.returncode) == (CONTENT.decode(), 0)
    return Sample(wall * 1000, float(processor) * 1000)


def stages_of(environment: Mapping[str, str]) -> dict[str, float]:
    """Returns the milliseconds of each stage of a stock cold start."""
    command = [PYTHON, "-c", STAGES, BUCKET, KEY]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def clean(server: S3Server, cache: str) -> dict[str, str]:
    """Returns the environment of all processes: compiled modules are kept, as they are where packages are installed."""
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("AWS_", "PYTHON", "COVERAGE"))
    }
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": cache, **server.environment}


@contextmanager
def over_tls(port: int, environment: Mapping[str, str]) -> Generator[dict[str, str]]:
    """Serves TLS before a port, and yields the environment of those that take the server there for Amazon's."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, str(TLS), str(port), folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        own, root = process.stdout.readline().split()
        command = "from botocore.httpsession import get_cert_path as of; print(of(True))"
        known = subprocess.check_output([PYTHON, "-c", command], text=True).strip()
        bundle = Path(folder) / "bundle.pem"
        bundle.write_bytes(Path(known).read_bytes() + Path(root).read_bytes())
        kept = {k: text for k, text in environment.items() if k != "AWS_ENDPOINT_URL_S3"}
        yield {**kept, "AWS_CA_BUNDLE": str(bundle), "COLD_PORT": own}
        process.stdin.close()
