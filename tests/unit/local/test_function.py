"""What the local Lambda runs, as a value: its variables may hold secrets."""

from pathlib import Path

from warmkit.local.sandbox.function import Function


def test_its_variables_are_in_no_repr():
    function = Function(
        handler="app.handler",
        task_root=Path("task"),
        env={"DATABASE_URL": "postgres://ada:hunter2@db"},
    )
    assert "app.handler" in repr(function)
    assert "hunter2" not in repr(function)
