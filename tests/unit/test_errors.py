"""An error teaches: whole messages, and errors that survive a trip between processes."""

import pickle

import pytest

from warmkit import (
    CheckError,
    CloseError,
    CyclicDependencyError,
    EnvironmentClosedError,
    InsideLoopError,
    RefreshError,
    ScopeError,
    StartError,
    TimeLimitError,
    UnknownDependencyError,
    WrongLoopError,
    YieldError,
)
from warmkit.errors import draw_path

TOLD = [
    (
        UnknownDependencyError(
            "handler", "bd", reason="names no resource", advice="Did you mean 'db'?"
        ),
        "handler: parameter 'bd' names no resource.\n  Did you mean 'db'?",
    ),
    (
        CyclicDependencyError(["a", "b", "a"]),
        (
            "resources depend on each other in a circle:\n"
            "  a\n"
            "  └─ b\n"
            "     └─ a\n"
            "  Take one of them as Annotated[Lazy[...], a] and await it after the start, or move what both need into a third resource."
        ),
    ),
    (
        ScopeError(["handler", "api", "tx"]),
        (
            "'api' lives as long as the environment, but 'tx' ends with each invocation:\n"
            "  handler\n"
            "  └─ api\n"
            "     └─ tx\n"
            "  Give 'api' scope=\"invocation\" too, or take 'tx' in the handler itself."
        ),
    ),
    (
        InsideLoopError("handler"),
        (
            "handler was called synchronously inside a running event loop, which it would block for ever.\n"
            "  Write: await handler.invoke(event, context)"
        ),
    ),
    (
        EnvironmentClosedError("0badcafe", "is closed"),
        "environment 0badcafe is closed.\n  Make another: async with Environment() as environment: ...",
    ),
    (
        WrongLoopError("0badcafe"),
        (
            "environment 0badcafe belongs to another event loop; its connections cannot be used in this one.\n"
            "  Make one in this loop: async with Environment() as environment: ..."
        ),
    ),
    (StartError("db", 1.5), "resource 'db' did not start after 1.500 s"),
    (
        StartError("db", 0.25, advice="Is it running?"),
        "resource 'db' did not start after 0.250 s\n  Is it running?",
    ),
    (CheckError("db", 0.0), "resource 'db' did not pass its check after 0.000 s"),
    (RefreshError("db", 0.0), "resource 'db' could not be refreshed after 0.000 s"),
    (CloseError("db", 0.0), "resource 'db' did not close after 0.000 s"),
    (
        TimeLimitError("the start", 5, "start_timeout"),
        "the start took longer than start_timeout = 5 s",
    ),
    (
        YieldError("db", times="never"),
        (
            "resource 'db' yielded never.\n"
            "  Yield the value exactly once: what stands before the yield starts it, what stands after closes it."
        ),
    ),
]


@pytest.mark.parametrize(("error", "text"), TOLD, ids=lambda item: type(item).__name__)
def test_the_whole_message(error, text):
    assert str(error) == text


@pytest.mark.parametrize(
    "error", [error for error, _ in TOLD], ids=lambda item: type(item).__name__
)
def test_an_error_survives_a_trip_between_processes(error):
    """A process pool that cannot unpickle an exception breaks instead of raising it."""
    arrived = pickle.loads(pickle.dumps(error))
    assert (type(arrived), str(arrived)) == (type(error), str(error))


def test_a_resource_error_names_its_cause():
    error = StartError("db", 0.5)
    error.__cause__ = ConnectionRefusedError("nobody listens")
    assert (
        str(error)
        == "resource 'db' did not start after 0.500 s: ConnectionRefusedError: nobody listens"
    )


def test_a_time_limit_is_a_timeout():
    assert isinstance(TimeLimitError("the start", 5, "start_timeout"), TimeoutError)


def test_a_path_of_one_name_is_that_name():
    assert draw_path(["alone"]) == "  alone"
