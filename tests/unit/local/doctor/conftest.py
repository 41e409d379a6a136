"""A module of a user's, written by a test, and what the doctor says of it."""

import textwrap

import pytest

from warmkit.local.doctor.examine import Order
from warmkit.local.doctor.run import run

HANDLER = "\ndef handler(event, context):\n    return None\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The directory of the user's modules, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AWS_LAMBDA_MAX_CONCURRENCY", raising=False)
    return tmp_path


@pytest.fixture
def write(project):
    """Writes a module."""

    def write_module(text, name="app"):
        text = textwrap.dedent(text)
        complete = "def handler" in text or "handler =" in text or name != "app"
        whole = text if complete else text + HANDLER
        (project / f"{name}.py").write_text(whole)

    return write_module


@pytest.fixture
def diagnose(write):
    """Writes app.py and examines its handler; nothing is measured unless it is asked for."""

    def diagnose_module(text, **order):
        write(text)
        return run(Order("app.handler", **{"slow_ms": None, **order}))

    return diagnose_module
