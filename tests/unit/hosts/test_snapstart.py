"""SnapStart's hooks, in a process of its own, run as AWS's runtime runs them."""

import random
import ssl
import sys

import pytest

from warmkit.hosts import snapstart

SNAPSTART = {
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
}
DECLARED = """
from awslambdaric.lambda_runtime_hooks_runner import run_after_restore, run_before_snapshot
from snapshot_restore_py import register_after_restore, register_before_snapshot
from warmkit import Invocation, resource, warm_handler

def say(*words):
    print(*words, flush=True)

@resource
async def db():
    say("open")
    yield "db"
    say("closed")

@resource
def model():
    say("load")
    return "model"

"""
HANDLER = """
@warm_handler(db=db, model=model)
async def handler(event, context, db, model, facts: Invocation):
    return facts.number, facts.cold

"""


def lines(process):
    assert (process.stderr, process.returncode) == ("", 0)
    return process.stdout.splitlines()


def test_init_starts_what_nobody_waits_for_and_the_snapshot_holds_only_what_can_be_cloned(program):
    source = """
say("snapshot")
run_before_snapshot()
say("restore")
run_after_restore()
say(handler({}), handler({}))
"""
    assert lines(program(DECLARED + HANDLER + source, **SNAPSTART)) == [
        *("open", "load", "snapshot", "closed", "restore"),
        *("open", "(1, True) (2, False)", "closed"),
    ]


def test_hooks_of_others_can_use_resources_wherever_they_are_registered(program):
    around = """
@register_before_snapshot
def prime_{place}():
    say("{place}", handler({{}}))

@register_after_restore
def check_{place}():
    say("{place}", handler({{}}))
"""
    source = """
run_before_snapshot()
say("snapshot")
run_after_restore()
"""
    above, below = around.format(place="above"), around.format(place="below")
    assert lines(program(DECLARED + above + HANDLER + below + source, **SNAPSTART)) == [
        *("open", "load", "below (1, True)", "above (2, False)", "closed", "snapshot"),
        *("open", "above (1, True)", "below (2, False)", "closed"),
    ]


def test_many_handlers_register_once(program):
    source = """
from snapshot_restore_py import get_after_restore, get_before_snapshot

@warm_handler
def plain(event):
    return event

say(len(get_before_snapshot()), len(get_after_restore()))
"""
    assert lines(program(DECLARED + HANDLER + source, **SNAPSTART))[-2:] == ["1 1", "closed"]


def test_without_the_package_nothing_starts_early_and_one_line_says_so(program):
    source = """
import sys
sys.modules["snapshot_restore_py"] = None
from warmkit import resource, warm_handler

@resource(start="eager")
def eager():
    print("started", flush=True)

@warm_handler(eager=eager)
def handler(event, eager): ...

@warm_handler(eager=eager)
def other(event, eager): ...

print("init is over", flush=True)
handler({})
"""
    process = program(source, **SNAPSTART)
    assert process.stdout.splitlines() == ["init is over", "started"]
    assert process.stderr == (
        "no resource starts before its first use: what a snapshot must not hold has to be closed before it, "
        "and the package snapshot_restore_py, which registers hooks for that, is missing\n"
    )


def test_a_close_that_fails_is_logged_and_no_reason_to_have_no_snapshot(program):
    source = """
@resource
def bad():
    yield "bad"
    raise OSError("not now")

@warm_handler(bad=bad, db=db)
def handler(event, bad, db): ...

run_before_snapshot()
say("snapshot")
"""
    process = program(DECLARED + source, **SNAPSTART)
    assert (process.stdout.splitlines(), process.returncode) == (["open", "closed", "snapshot"], 0)
    assert process.stderr.startswith("before the snapshot: resource 'bad' did not close after 0.0")
    assert len(process.stderr.splitlines()) == 1


def test_observers_of_any_handler_are_told_of_what_is_closed(program):
    source = """
@warm_handler(observers=[lambda event: say(event.kind, event.resource)])
def observed(event): ...

@warm_handler(db=db)
def handler(event, db): ...

run_before_snapshot()
"""
    told = lines(program(DECLARED + source, **SNAPSTART))
    assert told == ["open", "retired db", "closed", "closed db"]


def test_elsewhere_no_hook_is_registered(program):
    source = """
from snapshot_restore_py import get_after_restore, get_before_snapshot
import sys
say(get_before_snapshot(), get_after_restore(), "warmkit.hosts.snapstart" in sys.modules)
"""
    provisioned = {**SNAPSTART, "AWS_LAMBDA_INITIALIZATION_TYPE": "provisioned-concurrency"}
    for variables in (provisioned, {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}):
        assert "[] [] False" in lines(program(DECLARED + HANDLER + source, **variables))


@pytest.mark.usefixtures("host")
def test_chance_differs_after_each_restore_from_one_state(monkeypatch):
    added = []
    monkeypatch.setattr(ssl._ssl, "RAND_add", lambda *given: added.append(given))
    state = random.getstate()
    drawn = set()
    for _copy in range(2):
        random.setstate(state)
        snapstart.after_restore()
        drawn.add(random.random())
    assert len(drawn) == 2
    assert [(len(entropy), size) for entropy, size in added] == [(32, 32.0)] * 2
    assert len({entropy for entropy, _ in added}) == 2


@pytest.mark.usefixtures("host")
def test_generators_that_nobody_has_loaded_are_not_loaded(monkeypatch):
    monkeypatch.delitem(sys.modules, "random")
    monkeypatch.delitem(sys.modules, "_ssl")
    snapstart.after_restore()
    assert not {"random", "_ssl"} & set(sys.modules)
