"""What the doctor's rules stand on: the log of imports, the text of modules, what modules hold."""

import sys
from io import StringIO
from types import ModuleType

import pytest
from rich.console import Console

from warmkit.local.doctor.costs import costs, measured, read
from warmkit.local.doctor.finding import Cost, Report
from warmkit.local.doctor.held import held_by
from warmkit.local.doctor.screen import show
from warmkit.local.doctor.source import Source, is_own

LOG = """import time: self [us] | cumulative | imported package
import time:       100 |        100 |     leaf
import time:       200 |        300 |   library.inner
import time:        50 |        350 | library
something that the module wrote
import time:        10 |         10 |     other
import time:      4000 |       4010 |   mine
import time:         5 |          5 |   library.late
import time:      1000 |       5015 | app
"""


def test_the_log_of_imports_is_a_forest():
    library, app = read(LOG)
    assert (library.name, library.us, [item.name for item in library.inner]) == (
        "library",
        350,
        ["library.inner"],
    )
    assert [item.name for item in app.inner] == ["mine", "library.late"]
    assert [item.name for item in app.inner[0].inner] == ["other"]


def test_costs_are_of_what_the_users_modules_import():
    assert costs(read(LOG), "app", {"app", "mine"}) == (
        Cost("mine", 4.0, own=True),
        Cost("app", 1.0, own=True),
        Cost("other", 0.01, own=False),
        Cost("library", 0.005, own=False),
    )


@pytest.mark.parametrize("log", ["", "import time:", "import time: x | y | z\n", "\0\n"])
def test_what_is_no_log_has_no_imports(log):
    assert read(log) == ()


def module(tmp_path, text, name="app"):
    file = tmp_path / f"{name}.py"
    file.write_text(text)
    made = ModuleType(name)
    made.__file__ = str(file)
    exec(compile(text, file, "exec"), vars(made))
    return Source(made)


def test_calls_are_named_as_the_imports_say(tmp_path):
    source = module(
        tmp_path,
        "import os.path as p, time\nfrom asyncio import run as go\n"
        "def f():\n    p.join('a'); time.time(); go; (lambda: p.exists('x'))(); f().g()\n",
    )
    names = [call.name for call in source.calls]
    assert names == ["os.path.join", "time.time", "", "os.path.exists", "?.g", "f"]


def test_everything_that_outlives_a_call_is_held_once(tmp_path):
    source = module(
        tmp_path,
        "import json\nshared = object()\nlisted = [shared, shared]\n"
        "class Kind:\n    table = {'a': (1.5,)}\n    def method(self, one=2.5): ...\n"
        "thing = Kind()\nthing.inner = b'x'\n",
    )
    found = {held.path: held.place.line for held in held_by([source])}
    assert found == {
        "app.shared": 2,
        "app.listed": 3,
        "app.Kind": 4,
        "app.Kind.table": 5,
        "app.Kind.table['a']": 5,
        "app.Kind.table['a'][0]": 5,
        "app.Kind.method": 4,
        "app.Kind.method, default of one": 6,
        "app.thing": 7,
        "app.thing.inner": 7,
    }


def test_what_is_imported_is_held_where_it_is_made(tmp_path, monkeypatch):
    store = module(tmp_path, "ITEMS = []\n", name="store")
    monkeypatch.setitem(sys.modules, "store", store.module)
    app = module(tmp_path, "from store import ITEMS as items\nmine = items\nother = 1\n")
    found = {held.path: held.place.line for held in held_by([store, app])}
    assert found == {"store.ITEMS": 1, "app.other": 3}
    alone = module(tmp_path, "from store import ITEMS as items\n")
    assert held_by([alone, store])[0].path == "store.ITEMS"


def test_looking_calls_nothing_of_the_users(tmp_path):
    source = module(
        tmp_path,
        "called = []\n"
        "class Proxy:\n"
        "    def __getattr__(self, name): called.append(name); raise RuntimeError\n"
        "    @property\n"
        "    def value(self): called.append('value'); raise RuntimeError\n"
        "    def __eq__(self, other): called.append('eq'); raise RuntimeError\n"
        "    def __hash__(self): called.append('hash'); raise RuntimeError\n"
        "    def __repr__(self): called.append('repr'); raise RuntimeError\n"
        "    def __bool__(self): called.append('bool'); raise RuntimeError\n"
        "    def __len__(self): called.append('len'); raise RuntimeError\n"
        "proxy = Proxy()\nlisted = [proxy, {1: Proxy()}]\n",
    )
    assert "app.listed[1][1]" in {held.path for held in held_by([source])}
    assert source.module.called == []


def test_what_is_installed_is_not_the_users(tmp_path):
    assert is_own(str(tmp_path / "app.py"))
    assert is_own(__file__)
    for other in (pytest, sys.modules["json"], sys.modules["warmkit"]):
        assert not is_own(other.__file__)
    assert not is_own("<frozen importlib._bootstrap>")
    assert not is_own("")


@pytest.mark.parametrize(
    ("first", "again", "told"), [(900, 10, 900), (1100, 700, 700), (1100, 1900, 1100)]
)
def test_what_seems_slow_is_measured_twice_and_the_lesser_time_counts(
    monkeypatch, first, again, told
):
    runs = [(Cost("library", ms, own=False), Cost("app", 1.0, own=True)) for ms in (first, again)]
    monkeypatch.setattr("warmkit.local.doctor.costs._measured_once", lambda *arguments: runs.pop(0))
    found = measured("app", {"app"}, limit=1.0, doubtful_ms=1000.0)
    assert found == (Cost("library", told, own=False), Cost("app", 1.0, own=True))


def test_the_dearest_imports_are_told_and_the_users_own_time_is_named_so():
    told = [Cost("library", 300.4, own=False), Cost("app", 20.0, own=True)]
    told += [Cost(f"x{number}", 19.0 - number, own=False) for number in range(12)]
    output = StringIO()
    show(Report("app.handler", (), tuple(told)), Console(file=output))
    assert output.getvalue() == (
        "imports: library 300 ms, app itself 20 ms, x0 19 ms, x1 18 ms, x2 17 ms\n"
        "app.handler: nothing found, not called\n"
    )
