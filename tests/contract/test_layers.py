"""A module imports only from rows above its own: the architecture, held by a test."""

import ast
from pathlib import Path

import warmkit

PACKAGE = Path(warmkit.__file__).parent

ROWS = [
    {"errors"},
    {"clock", "events", "deadline", "afterwards"},
    {"freshness", "inject"},
    {"recipe"},
    {"graph", "life"},
    {"slot"},
    {"lease"},
    {"live", "teardown"},
    {"settle"},
    {"snapshot"},
    {"environment"},
    {"hosts"},
    {"visit"},
    {"stream"},
    {"handler"},
    {""},  # the public face, `import warmkit`
    {"resources", "testing", "runtime"},
    {"local"},
]
STANDARD_LIBRARY_ONLY = {name for row in ROWS[:-2] for name in row}
THIRD_PARTIES = {
    "postgres": {"asyncpg"},
    "breaker": {"pybreaker"},
    "runtime": {"httptools", "simplejson"},
    "otel": {"opentelemetry"},
    "aws": {"aiobotocore", "botocore", "aiohttp", "types_aiobotocore_s3"},
}
"""Which folder of `resources` knows which of them."""


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def row_of(room: str) -> int:
    return next(number for number, row in enumerate(ROWS) if room in row)


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imports_of(path: Path) -> set[str]:
    """Every absolute import in the file, at the top, in a function or for the type checker."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            found.add(node.module or "")
            if node.module == "warmkit":
                found |= {f"warmkit.{alias.name}" for alias in node.names}
    return found


def test_every_room_stands_in_a_row():
    rooms = {room_of(module) for module in modules()}
    assert rooms <= {room for row in ROWS for room in row}


def test_a_module_imports_only_from_rows_above_its_own():
    names = modules()
    wrong = [
        f"{module} imports {imported}"
        for module, path in names.items()
        for imported in imports_of(path)
        if imported in names  # `from warmkit import Environment` names no module
        and room_of(imported) != room_of(module)
        and row_of(room_of(imported)) >= row_of(room_of(module))
        and module != "warmkit"
    ]
    assert wrong == []


def test_resources_and_testing_import_only_the_public_face():
    wrong = [
        f"{module} imports {imported}"
        for module, path in modules().items()
        if room_of(module) in {"resources", "testing"}
        for imported in imports_of(path)
        if imported.startswith("warmkit.")
        and imported in modules()
        and room_of(imported) != room_of(module)
        and imported not in {"warmkit.recipe", "warmkit.clock"}  # what is one; a clock's reading
    ]
    assert wrong == []


def test_third_parties_stay_in_their_own_file():
    import sys

    wrong = [
        f"{module} imports {imported}"
        for module, path in modules().items()
        if room_of(module) != "local"
        for imported in imports_of(path)
        if (top := imported.partition(".")[0]) not in sys.stdlib_module_names | {"warmkit"}
        and top not in THIRD_PARTIES.get(path.parent.name, set())
    ]
    assert wrong == []


def test_the_sdk_of_opentelemetry_is_the_users():
    imported = {name for path in modules().values() for name in imports_of(path)}
    ours = {name for name in imported if name.startswith("opentelemetry")}
    assert "opentelemetry.trace" in ours
    assert [name for name in ours if name.startswith("opentelemetry.sdk")] == []


def test_only_the_clock_asks_for_the_time():
    wrong = [
        module
        for module, path in modules().items()
        if room_of(module) not in {"clock", "local", "testing"}
        and "time" in imports_of(path)
        and module != "warmkit.runtime.logs"  # formats the moments that log records carry
    ]
    assert wrong == []


def test_the_runtime_and_the_local_lambda_share_no_code():
    """What they shared would agree with its own bugs."""
    wrong = [
        f"{module} imports {imported}"
        for module, path in modules().items()
        for imported in imports_of(path)
        if {room_of(module), room_of(imported)} == {"runtime", "local"}
    ]
    assert wrong == []
