"""The doctor examines any module: Python's own, and this project's tests."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
EXAMINE_EACH = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
from warmkit.local.doctor.examine import Order, report_of, subject_of
from warmkit.local.doctor.watch import Watch
from warmkit.local.target import TargetError, find

def functions(name):
    try:
        module = __import__(name)
    except BaseException:
        return []
    return [key for key, value in vars(module).items() if key.isidentifier() and callable(value)]

outcomes = {}
for name in json.load(sys.stdin):
    for function in functions(name)[:1]:
        order = Order(f"{name}.{function}", slow_ms=None)
        report = report_of(order, subject_of(order, find(order.handler), Watch()))
        outcomes[order.handler] = [finding.code for finding in report.findings]
sys.stdout.flush()
os.write(9, json.dumps(outcomes).encode())
os._exit(0)
"""
SPEAK_OR_ACT_AT_IMPORT = {"antigravity", "this", "idlelib", "turtledemo", "__hello__", "__phello__"}


def examine_each(names, *, cwd, path):
    """Examines the first function of each module in one child process."""
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" 9>&1 >/dev/null', sys.executable, EXAMINE_EACH],
        cwd=cwd,
        env={"PYTHONPATH": f"{ROOT}:{path}", "PATH": "/usr/bin:/bin"},
        input=json.dumps(sorted(names)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_any_module_of_python(tmp_path):
    names = sys.stdlib_module_names - SPEAK_OR_ACT_AT_IMPORT
    outcomes = examine_each(names, cwd=tmp_path, path="")
    assert len(outcomes) > 150


@pytest.mark.parametrize("folder", ["unit", "properties"])
def test_any_test_of_this_project(tmp_path, folder):
    path = ROOT / "tests" / folder
    names = [file.stem for file in path.glob("test_*.py")]
    outcomes = examine_each(names, cwd=tmp_path, path=path)
    assert len(outcomes) == len(names)
