"""A handler's resources, drawn: as text, as Mermaid, as JSON, and by the command."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from warmkit.local.graph.mermaid import escaped, mermaid
from warmkit.local.graph.picture import picture
from warmkit.local.graph.text import ASCII, text
from warmkit.local.target import find

ROOT = Path(__file__).parents[4]
RUN = [sys.executable, "-c", "from warmkit.local.cli import main; main()", "graph"]
SHOP = """
from typing import Annotated

from warmkit import Invocation, Lazy, resource, warm_handler
from warmkit.resources import postgres_pool, postgres_transaction

print("imported")
db = postgres_pool()


@resource(max_age=300, start="eager")
async def prices(db: Annotated[object, db]):
    return {}


@resource(check_after=30, check=lambda client: None)
def search(prices: Annotated[object, prices]):
    raise AssertionError("started")
    yield


@warm_handler(prices=prices, tx=postgres_transaction(db))
async def handler(
    event, prices, tx, pool: Annotated[object, db], search: Annotated[Lazy[object], search],
    invocation: Invocation,
):
    return {}


@warm_handler
def alone(event):
    return {}


def plain(event, context):
    return {}
"""
DRAWN = """\
shop.handler  async def, shop.py:22
├── prices            shop.prices shop.py:11 · environment scope · start eager · max_age 300 s
│   └── db            warmkit.resources.postgres · environment scope · start auto · alive · check after 1 s · refresh · max_gap 300 s
├── tx                warmkit.resources.postgres · invocation scope · start auto
│   └── db (as pool)  shown above
├── db (as pool)      shown above
└╌╌ search            shop.search shop.py:16 · on demand · environment scope · start auto · check after 30 s · max_gap 300 s
    └── prices        shown above

environment starts: db → prices
environment closes: prices → db
each invocation starts: tx
each invocation closes: tx
on demand: search
"""
FLOWCHART = """\
flowchart TD
    handler(["shop.handler"])
    subgraph environment["lives as long as the environment"]
        r1["db<br/>warmkit.resources.postgres<br/>environment scope, start auto, alive, check after 1 s, refresh, max_gap 300 s"]
        r2["prices<br/>shop.prices shop.py:11<br/>environment scope, start eager, max_age 300 s"]
        r4["search<br/>shop.search shop.py:16<br/>environment scope, start auto, check after 30 s, max_gap 300 s"]
    end
    subgraph invocation["for each invocation"]
        r3["tx<br/>warmkit.resources.postgres<br/>invocation scope, start auto"]
    end
    handler --> r2
    handler --> r3
    handler --> r1
    handler -. lazy .-> r4
    r2 --> r1
    r3 --> r1
    r4 --> r2
"""


PLAIN = """\
imported
shop.plain is a function, not a handler of warmkit's.
  Write: @warm_handler above its def.
"""
BROKEN = """\
broken cannot be imported.
  File "{here}/broken.py", line 1, in <module>
    1 / 0
ZeroDivisionError: division by zero
"""
WRONG = """\
wrong cannot be imported.
  File "{here}/wrong.py", line 2, in <module>
    @warmkit.warm_handler
warmkit.errors.UnknownDependencyError: handler: parameter 'db' names no resource.
  Register it by keyword, db=..., or annotate it: db: Annotated[Type, resource].
"""


@pytest.fixture
def graph(tmp_path):
    """Runs the command in a directory with a shop."""
    (tmp_path / "shop.py").write_text(SHOP)
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))

    def run(*arguments, **variables):
        return subprocess.run(
            [*RUN, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8", **variables},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    return run


def test_a_tree_shows_each_resource_once_and_the_order(graph):
    done = graph("shop.handler")
    assert (done.returncode, done.stdout, done.stderr) == (0, DRAWN, "imported\n")


def test_in_the_init_phase_of_a_function_nothing_starts_either(graph):
    done = graph("shop.handler", AWS_LAMBDA_RUNTIME_API="127.0.0.1:9")
    assert (done.returncode, done.stdout, done.stderr) == (0, DRAWN, "imported\n")


def test_a_terminal_without_lines_gets_letters(graph):
    done = graph("shop.handler", PYTHONIOENCODING="ascii")
    assert "`.. search " in done.stdout
    assert done.stdout.isascii()


def test_a_flowchart(graph):
    done = graph("shop.handler", "--mermaid")
    assert (done.returncode, done.stdout) == (0, FLOWCHART)


def test_json_says_what_the_tree_says(graph):
    drawn = json.loads(graph("shop.handler", "--json").stdout)
    names = {item["id"]: item["name"] for item in drawn["resources"]}
    assert list(names.values()) == ["db", "prices", "tx", "search"]
    assert [(need["parameter"], names[need["to"]], need["lazy"]) for need in drawn["needs"]] == [
        ("prices", "prices", False),
        ("tx", "tx", False),
        ("pool", "db", False),
        ("search", "search", True),
    ]
    assert drawn["starts"] == {"environment": [["r1"], ["r2"]], "invocation": [["r3"]]}
    assert drawn["on_demand"] == ["r4"]
    assert drawn["resources"][1] == {
        "id": "r2",
        "name": "prices",
        "made_by": "shop.prices shop.py:11",
        "scope": "environment",
        "start": "eager",
        "marks": ["max_age 300 s"],
        "level": 2,
        "on_demand": False,
        "needs": [{"parameter": "db", "to": "r1", "lazy": False}],
    }


def test_a_handler_without_resources(graph):
    done = graph("shop.alone")
    assert done.stdout == "shop.alone  def, shop.py:30\nIt takes no resources.\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("shop", "'shop' must be module.function, such as app.handler\n"),
        ("shoop.handler", "There is no module 'shoop' in {here}. Did you mean 'shop'?\n"),
        ("shop.handle", "imported\nshop has no 'handle'. Did you mean 'handler'?\n"),
        ("shop.db", "imported\nshop.db is a Resource, not a function.\n"),
        ("shop.plain", PLAIN),
        ("broken.handler", BROKEN),
        ("wrong.handler", WRONG),
    ],
)
def test_what_cannot_be_drawn_is_said_in_short(graph, tmp_path, name, said):
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "wrong.py").write_text(
        "import warmkit\n@warmkit.warm_handler\nasync def handler(event, db): ...\n"
    )
    done = graph(name)
    assert done.stderr == said.format(here=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_handler_below_somebodys_decorator_is_found(graph, tmp_path):
    (tmp_path / "logged.py").write_text(
        "import functools, shop\n"
        "@functools.wraps(shop.handler)\n"
        "def handler(event, context): return shop.handler(event, context)\n"
    )
    assert graph("logged.handler").stdout == DRAWN.replace("shop.handler", "logged.handler")


def test_lazy_resources_may_need_each_other(tmp_path, monkeypatch):
    (tmp_path / "circle.py").write_text(
        "from typing import Annotated\n"
        "from warmkit import Lazy, resource, warm_handler\n"
        "@resource\n"
        "def one(other: 'Annotated[Lazy[int], other]'): return 1\n"
        "@resource\n"
        "def other(one: Annotated[int, one]): return 2\n"
        "@warm_handler\n"
        "def handler(event, other: Annotated[int, other]): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    drawn = text(picture("circle.handler", find("circle.handler").handler), strokes=ASCII)
    assert re.findall(r"^ *`.. \w+", drawn, re.MULTILINE) == [
        "`-- other",
        "    `-- one",
        "        `.. other",
    ]


def test_names_mean_nothing_to_mermaid():
    odd = 'end "quoted" <b>#35; [x](y) {z} | `code` %% --> ; & \n next'
    assert escaped(odd) == (
        "end #34;quoted#34; #60;b#62;#35;35#59; #91;x#93;(y) #123;z#125; #124; #96;code#96; "
        "#37;#37; --#62; #59; #38; next"
    )


def test_mermaid_ends_with_a_newline():
    from warmkit import warm_handler

    @warm_handler
    def handler(event): ...

    assert mermaid(picture("a.handler", handler)) == 'flowchart TD\n    handler(["a.handler"])\n'
