"""What remains of a cold start where SnapStart has taken a snapshot?

A process that is started anew, as on demand: from before its start until its handler has got a row of PostgreSQL and an
object of S3. And the same handler in a process that has run through warmkit's hooks, before a snapshot and after the restore: from
the restore on; once with nothing done before the snapshot, and once primed with an invocation. All answers are checked.
"""

import json
import os
import subprocess
import sys
import time

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Finding, Row
from benchmarks.harness.run import ROOT, Run
from warmkit.local.postgres_server import PostgresServer
from warmkit.local.s3_server import S3Server

NOT_SHOWN = "No machine is snapshotted here: what Lambda itself takes for a restore is not in it, nor what it takes to begin an environment."

BUCKET, KEY, CONTENT = "cold", "key", b"three cups of tea"
NEW, THAWED, PRIMED, AGAIN = (
    "cold",
    "warmkit, restored",
    "warmkit, primed and restored",
    "cold, again",
)
KEPT, MADE = "on the session that was kept", "on a new session"

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


def ask(run: Run) -> Answer:
    taken: dict[str, list[list[float]]] = {name: [] for name in (NEW, THAWED, PRIMED, AGAIN)}
    sessions: dict[str, list[list[float]]] = {KEPT: [], MADE: []}
    with PostgresServer() as postgres, S3Server() as s3:
        s3.put_objects(BUCKET, {KEY: CONTENT})
        kept = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
        clean = {**kept, "PYTHONPATH": str(ROOT), "DATABASE_URL": postgres.dsn, **s3.environment}
        frozen = {**clean, **SNAPSTART}
        start(COLD, clean)  # compiles every module
        for _ in run.rounds(15, quick=3):
            taken[NEW].append([start(COLD, clean)[0]])
            taken[THAWED].append([sum(start(RESTORED, frozen)[1][:2])])
            taken[PRIMED].append([sum(start(RESTORED, frozen, "primed")[1][:2])])
            taken[AGAIN].append([start(COLD, clean)[0]])
        for _ in run.rounds(3, quick=3, doing="AWS sessions"):
            on_kept, on_new = start(SESSION, clean)[1]
            sessions[KEPT].append([on_kept])
            sessions[MADE].append([on_new])
    comparison = Comparison(
        "first",
        "until the first answer",
        "ms",
        [Row(name, samples) for name, samples in taken.items()],
        base=NEW,
        again=AGAIN,
    )
    clients = Comparison(
        "client",
        "an S3 client",
        "ms",
        [Row(name, samples) for name, samples in sessions.items()],
        base=MADE,
    )
    share = figures.ratio(comparison.row(PRIMED), comparison.row(NEW))
    return Answer(
        [comparison, clients],
        [
            Finding(
                "primed",
                "after a restore the first answer of a primed function takes {} of a cold start's time",
                share,
                at_most=0.5,
            )
        ],
    )


def start(program: str, environment: dict[str, str], *arguments: str) -> tuple[float, list[float]]:
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
