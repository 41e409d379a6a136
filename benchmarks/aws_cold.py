"""How long from a fresh process to the first answer of S3, beside stock aiobotocore?

A is a `@warm_handler` with `s3_client()`, called once. B is what a good engineer writes by hand: `asyncio.run`, and
`get_session().create_client("s3")`. Both get the same object from the same server (moto's, in a process of its own, that
is there already), with the same endpoint and credentials from the environment, and check it. Each sample is a process of
its own; A and B take turns, and who begins alternates. All of it once over TLS, as S3 is used: a server whose root certificate
has the name of Amazon's and is one among 120 is reached by the name of Amazon's endpoint, by both with the same three lines.
And once without. Time is taken from before the process is started until its answer
has arrived here; beside it stands the processor time that the process had used by then, which other work on the
machine disturbs less. "B against B" shows what the noise alone makes.

    python -m benchmarks.aws_cold [pairs]
    python -m benchmarks.aws_cold stages

The measured processes run on this interpreter, or on that of COLD_PYTHON: one of an environment with the extra `aws` and nothing
else shows what a function has, as aiobotocore imports httpx as well where that is installed. The first prints the median ratios with a bootstrap interval of 95 % and writes every sample to
benchmarks/results/aws_cold.json; it exits with 1 if a ratio is above 0.75. The second prints where the time goes.
"""

import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from warmkit.local.s3_server import S3Server

LIMIT = 0.75
PAIRS = 25
BUCKET, KEY, CONTENT = "cold", "key", b"three cups of tea"
PYTHON = os.environ.get("COLD_PYTHON", sys.executable)
ROOT = Path(__file__).parents[1]
TLS = ROOT / "tests" / "integration" / "amazon_tls.py"
RESULTS = Path(__file__).parent / "results" / "aws_cold.json"

WARMKIT = """
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

STOCK = """
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


VERSIONS = """
import importlib.util, json, ssl, sys
from importlib.metadata import version

told = {name: version(name) for name in ("aiobotocore", "botocore", "aiohttp")}
httpx = importlib.util.find_spec("httpx") is not None
print(json.dumps({"python": sys.version, "openssl": ssl.OPENSSL_VERSION, "httpx": httpx, **told}))
"""


class Sample(NamedTuple):
    """Milliseconds until the answer."""

    wall: float
    processor: float


Pairs = list[tuple[Sample, Sample]]


def run(program: str, environment: Mapping[str, str]) -> Sample:
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


def versions() -> dict[str, Any]:
    """Returns what is measured."""
    done = subprocess.run([PYTHON, "-c", VERSIONS], capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def interleave(a: str, b: str, pairs: int, environment: Mapping[str, str]) -> Pairs:
    samples: Pairs = []
    for number in range(pairs):
        if number % 2:
            taken = run(b, environment)
            samples.append((run(a, environment), taken))
        else:
            samples.append((run(a, environment), run(b, environment)))
    return samples


def ratio(samples: Pairs, which: int) -> dict[str, float]:
    """Returns the median of the pairs' ratios, and between what it lies in 95 % of resamplings."""
    ratios = [a[which] / b[which] for a, b in samples]
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(4000))
    return {"median": statistics.median(ratios), "low": medians[100], "high": medians[-101]}


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


def main() -> int:
    asked = sys.argv[1] if len(sys.argv) > 1 else str(PAIRS)
    with S3Server() as server, tempfile.TemporaryDirectory() as cache:
        server.put_objects(BUCKET, {KEY: CONTENT})
        environment = clean(server, cache)
        for program in (WARMKIT, STOCK):  # compiles every module
            run(program, environment)
        if asked == "stages":
            return report_stages(environment)
        with over_tls(server.port, environment) as elsewhere:
            tls = measure(NAMES, int(asked), elsewhere)
        plain = measure("", int(asked), environment)
    figures = {"measured": versions()}
    for name, (samples, noise) in {"https": tls, "http": plain}.items():
        figures[name] = summary(samples, noise)
        report(name, figures[name], len(samples))
    if figures["measured"]["httpx"]:
        print("httpx is installed here: aiobotocore imports it, on both sides")
    save(figures, {"https": tls, "http": plain})
    worst = max(figures[name]["ratio"]["median"] for name in ("https", "http"))
    return 0 if worst <= LIMIT else 1


def measure(before: str, pairs: int, environment: Mapping[str, str]) -> tuple[Pairs, Pairs]:
    """Returns the samples of A and B, and of B and B."""
    a, b = before + WARMKIT, before + STOCK
    run(a, environment)
    return (
        interleave(a, b, pairs, environment),
        interleave(b, b, max(5, pairs // 3), environment),
    )


def summary(samples: Pairs, noise: Pairs) -> dict[str, Any]:
    return {
        "warmkit_ms": statistics.median(a.wall for a, _ in samples),
        "stock_ms": statistics.median(b.wall for _, b in samples),
        "ratio": ratio(samples, 0),
        "processor_ratio": ratio(samples, 1),
        "warmkit_processor_ms": statistics.median(a.processor for a, _ in samples),
        "stock_processor_ms": statistics.median(b.processor for _, b in samples),
        "b_against_b": ratio(noise, 0),
    }


def save(figures: dict[str, Any], found: dict[str, tuple[Pairs, Pairs]]) -> None:
    machine = {
        **figures.pop("measured"),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }
    content = {
        "question": (__doc__ or "").partition("\n")[0],
        "machine": machine,
        "figures": figures,
        "samples_ms": {
            name: [{"warmkit": a._asdict(), "stock": b._asdict()} for a, b in samples]
            for name, (samples, _) in found.items()
        },
        "b_against_b_ms": {
            name: [[a.wall, b.wall] for a, b in noise] for name, (_, noise) in found.items()
        },
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content) + "\n")


def report(name: str, figures: dict[str, Any], pairs: int) -> None:
    def shown(of: str) -> str:
        return (
            f"{figures[of]['median']:.3f}   ({figures[of]['low']:.3f} to {figures[of]['high']:.3f})"
        )

    print(f"a fresh process until the first answer of S3 over {name}, medians of {pairs} pairs:")
    print(
        f"  warmkit                {figures['warmkit_ms']:7.1f} ms   ({figures['warmkit_processor_ms']:.1f} ms of processor)"
    )
    print(
        f"  stock aiobotocore      {figures['stock_ms']:7.1f} ms   ({figures['stock_processor_ms']:.1f} ms of processor)"
    )
    print(f"  ratio                    {shown('ratio')}   (at most {LIMIT})")
    print(f"  ratio, processor time    {shown('processor_ratio')}")
    print(f"  B against B (noise)      {shown('b_against_b')}")


def report_stages(environment: Mapping[str, str]) -> int:
    """Prints the median milliseconds of each stage of a stock cold start."""
    command = [PYTHON, "-c", STAGES, BUCKET, KEY]
    stages: dict[str, list[float]] = {}
    for _ in range(11):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        for name, taken in json.loads(done.stdout):
            stages.setdefault(name, []).append(taken)
    print("where a cold start of stock aiobotocore goes, medians of 11 processes:")
    for name, taken in stages.items():
        print(f"  {name:42} {statistics.median(taken):7.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
