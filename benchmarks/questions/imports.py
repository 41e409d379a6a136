"""What does importing warmkit cost, and each of its resources, beside its peers: in milliseconds and modules?

Each sample is of a fresh interpreter that has imported asyncio, as every function with an `async def` has, and nothing else;
contenders take turns, and everything is compiled and in the page cache. Each library is in a directory of its own with what it
requires and nothing else, as some import whatever else they find. For those that inject, the clock runs from the import until a
handler with one resource is declared; for each of warmkit's resources, until it is used for the first time, beside the same
library by hand; for the runtimes, while the modules are imported with which each begins. warmkit loads the most when it is first used and not when it
is imported, so an import alone would not be fair; it is counted all the same.
"""

from tempfile import TemporaryDirectory

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Count, Finding, Row
from benchmarks.harness.run import Run, turns
from benchmarks.parts.imported import Imported, Installations, Program
from benchmarks.parts.injected import BY_HAND, TAKEN_BY_NAME, USERS, WARMKIT, render
from warmkit.local.postgres_server import PostgresServer

NOT_SHOWN = "What a package weighs and takes to unpack, and a disk that is cold: on Lambda, the first read of each file costs more than here."

AGAIN = "warmkit, again"
POWERTOOLS = "aws-lambda-powertools"
RUNTIME, AWS_RUNTIME = "warmkit's runtime", "AWS's runtime"

WARM_DECLARED = """
from warmkit import resource, warm_handler

@warm_handler(r0=resource(start_r0))
"""

INJECT = ("wireup", "dishka", "svcs", "that-depends")
PEERS = (*INJECT, POWERTOOLS, AWS_RUNTIME)

DECLARED = {
    WARMKIT: Program(render(WARM_DECLARED + TAKEN_BY_NAME.lstrip(), 1, 0)),
    AGAIN: Program(render(WARM_DECLARED + TAKEN_BY_NAME.lstrip(), 1, 0)),
    **{name: Program(render(USERS[name], 1, 0), (name,)) for name in INJECT},
    POWERTOOLS: Program(
        "from aws_lambda_powertools import Logger\n"
        "@Logger(service='orders').inject_lambda_context\n"
        "def handler(event, context): ...\n",
        (POWERTOOLS,),
    ),
}

STATEMENTS = {
    WARMKIT: Program("import warmkit"),
    "wireup": Program("import wireup", ("wireup",)),
    "dishka": Program("import dishka", ("dishka",)),
    "svcs": Program("import svcs", ("svcs",)),
    "that-depends": Program("import that_depends", ("that-depends",)),
    POWERTOOLS: Program("import aws_lambda_powertools", (POWERTOOLS,)),
}

RUNTIMES = {
    AWS_RUNTIME: Program("import awslambdaric.bootstrap", ("awslambdaric",)),
    RUNTIME: Program("import warmkit.runtime.__main__", ("httptools", "simplejson")),
}

WEIGHED = {
    name: Program(f"import {name}", needs)
    for name, needs in {
        "httptools": ("httptools",),
        "h11": ("h11",),
        "http.client": (),
        "simplejson": ("simplejson",),
        "dataclasses": (),
    }.items()
}

USED = """
from warmkit import warm_handler
from warmkit.resources import {factory}

@warm_handler(value={recipe})
async def handler(event, context, value):
    {use}

handler({{}}, None)
"""

USED_BY_HAND = """
import asyncio
{imports}

async def handler(event, context):
    {start}
    {use}

asyncio.new_event_loop().run_until_complete(handler({{}}, None))
"""


def used(
    needs: str, *, by_hand: tuple[str, str], factory: str, recipe: str, use: str, **environment: str
) -> dict[str, Program]:
    """Returns the programs that use a resource for the first time.

    Args:
        needs: The distribution.
        by_hand: Its import, and how the value is made without warmkit.
        factory: The name in `warmkit.resources`.
        recipe: How it is declared.
        use: The statement that shows that the value is there.
        environment: Variables.
    """
    imports, start = by_hand
    by_hand_source = USED_BY_HAND.format(imports=imports, start=start, use=use)
    source = USED.format(factory=factory, recipe=recipe, use=use)
    return {
        BY_HAND: Program(by_hand_source, (needs,), environment),
        WARMKIT: Program(source, (needs,), environment),
    }


def resources(dsn: str) -> dict[str, dict[str, Program]]:
    return {
        "postgres": used(
            "asyncpg",
            by_hand=(
                "import asyncpg, os",
                'value = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=1)',
            ),
            factory="postgres_pool",
            recipe="postgres_pool()",
            use='assert await value.fetchval("SELECT 1") == 1',
            DATABASE_URL=dsn,
        ),
        "s3": used(
            "aiobotocore",
            by_hand=(
                "from aiobotocore.session import get_session",
                'value = await get_session().create_client("s3").__aenter__()',
            ),
            factory="s3_client",
            recipe="s3_client()",
            use='assert value.meta.service_model.service_name == "s3"',
            AWS_DEFAULT_REGION="eu-west-1",
            AWS_ACCESS_KEY_ID="key",
            AWS_SECRET_ACCESS_KEY="secret",
        ),
        "breaker": used(
            "pybreaker",
            by_hand=("import pybreaker", "value = pybreaker.CircuitBreaker(5, 30)"),
            factory="circuit_breaker",
            recipe="circuit_breaker(fail_max=5, reset_timeout=30)",
            use="assert value",
        ),
        "tracer": used(
            "opentelemetry-api",
            by_hand=("from opentelemetry import trace", 'value = trace.get_tracer("orders")'),
            factory="tracer",
            recipe='tracer("orders")',
            use='assert value.start_span("work")',
        ),
    }


TITLES = {
    "declared": "from the import until a handler with one resource is declared",
    "statement": "the import alone",
    "postgres": "until a query by asyncpg's pool is answered",
    "s3": "until there is an S3 client of aiobotocore",
    "breaker": "until there is a breaker of pybreaker",
    "tracer": "until there is a span of OpenTelemetry",
    "runtime": "the modules of the runtime",
    "weighed": "what was weighed for warmkit's own modules",
}


def ask(run: Run) -> Answer:
    with PostgresServer() as postgres, TemporaryDirectory() as directory:
        installations = Installations(directory)
        programs = {
            (group, name): program
            for group, contenders in {
                "declared": DECLARED,
                **resources(postgres.dsn),
                "runtime": RUNTIMES,
                **({} if run.quick else {"statement": STATEMENTS, "weighed": WEIGHED}),
            }.items()
            for name, program in contenders.items()
        }
        bare = {which: installations.run(program) for which, program in programs.items()}
        taken: dict[tuple[str, str], list[Imported]] = {which: [] for which in programs}
        for number in run.rounds(10, quick=3, doing=f"{len(programs)} fresh processes"):
            for which in turns(list(programs), number):
                taken[which].append(installations.run(programs[which], after="import asyncio"))
    groups = [group for group in TITLES if any(group == of for of, _ in taken)]
    comparisons = [compare(group, taken) for group in groups]
    return Answer(comparisons, findings(comparisons, bare, taken), [count(bare, taken)])


def compare(group: str, taken: dict[tuple[str, str], list[Imported]]) -> Comparison:
    rows = [
        Row(name, [[item.milliseconds] for item in items], peer=name in PEERS)
        for (of, name), items in taken.items()
        if of == group
    ]
    again = AGAIN if group == "declared" else None
    return Comparison(group, TITLES[group], "ms", rows, base=rows[0].name, again=again)


def count(
    bare: dict[tuple[str, str], Imported], taken: dict[tuple[str, str], list[Imported]]
) -> Count:
    return Count(
        "modules that are loaded",
        ["in an interpreter that has imported nothing", "in one that has imported asyncio"],
        {
            f"{TITLES[group]}: {name}": [bare[group, name].modules, items[-1].modules]
            for (group, name), items in taken.items()
            if name != AGAIN
        },
    )


def findings(
    comparisons: list[Comparison],
    bare: dict[tuple[str, str], Imported],
    taken: dict[tuple[str, str], list[Imported]],
) -> list[Finding]:
    found = {comparison.name: comparison for comparison in comparisons}
    declared, runtime = found["declared"], found["runtime"]
    used = [found[name] for name in ("postgres", "s3", "breaker", "tracer")]
    quickest = min(
        (row for row in declared.rows if row.name in INJECT),
        key=lambda row: figures.median(row).value,
    )
    modules = {name: taken["declared", name][-1].modules for name in (WARMKIT, quickest.name)}
    return [
        Finding(
            "own",
            "importing warmkit and declaring a handler takes {}, beside what asyncio takes",
            figures.median(declared.row(WARMKIT)),
            "ms",
            digits=1,
        ),
        Finding(
            "beside_peer",
            f"importing warmkit and declaring a handler takes {{}} of the time of {quickest.name}, the quickest of the others that inject; it loads {modules[WARMKIT]} modules, {quickest.name} {modules[quickest.name]}",
            figures.ratio(declared.row(WARMKIT), quickest),
            at_most=1,
            closing=True,
        ),
        *(beside_by_hand(item) for item in used),
        Finding(
            "runtime_beside_aws",
            f"importing warmkit's runtime takes {{}} times as long as AWS's where asyncio is loaded in any case; a function without it loads {bare['runtime', AWS_RUNTIME].modules} modules with AWS's, and {bare['runtime', RUNTIME].modules} with warmkit's",
            figures.ratio(runtime.row(RUNTIME), runtime.row(AWS_RUNTIME)),
        ),
    ]


def beside_by_hand(comparison: Comparison) -> Finding:
    less, more = comparison.row(WARMKIT), comparison.row(BY_HAND)
    word = "less"
    if figures.difference(more, less).value < 0:
        less, more, word = more, less, "more"
    return Finding(
        f"{comparison.name}_beside_by_hand",
        f"{comparison.title}, it is {{}} {word} with warmkit, whose own modules are among what is loaded, than by hand",
        figures.difference(more, less),
        "ms",
        digits=1,
    )
