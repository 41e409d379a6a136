"""Import is part of the API: what `import warmkit` costs a cold start, counted in modules."""

import json
import subprocess
import sys
from typing import TypedDict

LIMIT = 15


class Loaded(TypedDict):
    beyond_asyncio: list[str]


def modules_loaded_by(statement: str) -> list[str]:
    """Returns what the statement loads in a fresh interpreter, beyond what asyncio loads."""
    program = (
        "import sys, json, asyncio; before = set(sys.modules); "
        f"{statement}; print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def test_importing_warmkit_loads_at_most_15_modules_and_no_third_party():
    loaded = modules_loaded_by("from warmkit import warm_handler")
    assert len(loaded) <= LIMIT, loaded
    tops = {name.partition(".")[0] for name in loaded}
    assert tops <= sys.stdlib_module_names | {"warmkit"}
    assert "warmkit.handler" in loaded  # the count is of something


def test_what_is_loaded_late_is_found():
    loaded = modules_loaded_by(
        "import warmkit; from warmkit import *; assert warmkit.gap is gap; assert callable(warmkit.resource); "
        "import warmkit.recipe; assert warmkit.resource is warmkit.recipe.resource"
    )
    assert {"warmkit.handler", "warmkit.environment", "warmkit.hosts.platform"} <= set(loaded)


def test_a_plain_handler_loads_nothing_of_streaming_and_of_many_at_once():
    loaded = modules_loaded_by("import warmkit.runtime.__main__")
    late = {"warmkit.stream", "warmkit.runtime.chunks", "warmkit.runtime.together", "pathlib"}
    assert late & set(loaded) == set()


def test_declaring_resources_loads_no_third_party():
    loaded = modules_loaded_by(
        "from warmkit.resources import aws_client, circuit_breaker, faas_attributes, otel_observer; "
        "from warmkit.resources import postgres_pool, s3_client, tracer; "
        "postgres_pool(breaker=circuit_breaker()); s3_client(); aws_client('sqs'); tracer('x'); "
        "otel_observer().listens(); faas_attributes()"
    )
    tops = {name.partition(".")[0] for name in loaded}
    assert tops <= sys.stdlib_module_names | {"warmkit"}
    folders = ("aws", "breaker", "otel", "postgres")
    assert {f"warmkit.resources.{folder}" for folder in folders} <= set(loaded)
