"""What remains of a cold start where SnapStart has taken a snapshot?

A is a process that was started anew, as on demand: from before its start until its handler has got a row of PostgreSQL and an
object of S3. B is the same handler in a process that has run through warmkit's hooks, before a snapshot and after the restore: from
the restore on. No machine is snapshotted here, so what Lambda itself takes for a restore is not in B, nor what it takes to begin an
environment in A. Each sample is a process of its own, A and B take turns, and both answers are checked.

    python -m benchmarks.snapshot [pairs]

Prints the medians, and what an S3 client takes on the AWS session that a snapshot keeps, and on a new one.
"""

import json
import os
import statistics
import subprocess
import sys
import time

from warmkit.local.postgres_server import PostgresServer
from warmkit.local.s3_server import S3Server

PAIRS = 15
BUCKET, KEY, CONTENT = "cold", "key", b"three cups of tea"
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120

FUNCTION = f"""
import json, sys, time

from warmkit import warm_handler
from warmkit.resources import postgres_pool, s3_client


@warm_handler(db=postgres_pool(), s3=s3_client())
async def handler(event, context, db, s3):
    total = await db.fetchval("SELECT 1 + 1")
    answer = await s3.get_object(Bucket="{BUCKET}", Key="{KEY}")
    async with answer["Body"] as body:
        return total, (await body.read()).decode()

"""
COLD = f"{FUNCTION}print(json.dumps([handler(None), []]), flush=True)"
RESTORED = f"""{FUNCTION}
from awslambdaric.lambda_runtime_hooks_runner import run_after_restore, run_before_snapshot

if "primed" in sys.argv:
    handler(None)
run_before_snapshot()
begun = time.perf_counter()
run_after_restore()
hooks = time.perf_counter()
answer = handler(None)
first = time.perf_counter()
handler(None)
warm = time.perf_counter()
parts = [hooks - begun, first - hooks, warm - first]
print(json.dumps([answer, [1000 * part for part in parts]]), flush=True)
"""
SESSION = f"""{FUNCTION}
import asyncio, statistics

from warmkit import Environment
from warmkit.resources.aws.session import aws_session

s3 = s3_client()


async def again(environment, closed):
    environment.live.retire(environment.live.current[closed], "measured")
    begun = time.perf_counter()
    await environment.get(s3)
    return 1000 * (time.perf_counter() - begun)


async def main():
    async with Environment() as environment:
        await environment.get(s3)
        medians = []
        for closed in s3, aws_session:
            medians.append(statistics.median([await again(environment, closed) for _ in range(15)]))
        print(json.dumps([[2, "{CONTENT.decode()}"], medians]))


asyncio.run(main())
"""
SNAPSTART = {
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
}


def run(program: str, environment: dict[str, str], *arguments: str) -> tuple[float, list[float]]:
    """Returns milliseconds: of the whole process up to its answer, and what it measured itself."""
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        answer, parts = json.loads(process.stdout.readline())
        wall = time.perf_counter() - begun
    assert (answer, process.returncode) == ([2, CONTENT.decode()], 0)
    return wall * 1000, parts


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    cold: list[float] = []
    restored: list[list[float]] = []
    primed: list[list[float]] = []
    with PostgresServer() as postgres, S3Server() as s3:
        s3.put_objects(BUCKET, {KEY: CONTENT})
        kept = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
        clean = {**kept, "PYTHONPATH": ROOT, "DATABASE_URL": postgres.dsn, **s3.environment}
        for _ in range(pairs):
            cold.append(run(COLD, clean)[0])
            restored.append(run(RESTORED, {**clean, **SNAPSTART})[1])
            primed.append(run(RESTORED, {**clean, **SNAPSTART}, "primed")[1])
        kept_session, new_session = run(SESSION, clean)[1]
    print(f"A, a new process to its first answer  {statistics.median(cold):6.1f} ms")
    for name, samples in (("B, a restored one", restored), ("C, a primed one  ", primed)):
        hooks, first, warm = (statistics.median(parts) for parts in zip(*samples, strict=True))
        print(
            f"{name} to its first answer  {hooks + first:6.1f} ms, {hooks:.1f} of them in hooks; the second {warm:.1f} ms"
        )
    print(
        f"an S3 client on the session that was kept {kept_session:.1f} ms, on a new one {new_session:.1f} ms"
    )


if __name__ == "__main__":
    main()
