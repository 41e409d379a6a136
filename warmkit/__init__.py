"""warmkit owns the life of a serverless execution environment.

Declare what lives as long as the environment; get it injected, alive, on every invocation.
"""

from typing import TYPE_CHECKING

from warmkit.errors import (
    CheckError,
    CloseError,
    CyclicDependencyError,
    DeadlineError,
    DefinitionError,
    EnvironmentClosedError,
    InsideLoopError,
    RefreshError,
    ResourceError,
    ScopeError,
    StartError,
    TeardownError,
    TimeLimitError,
    UnknownDependencyError,
    UsageError,
    WarmkitError,
    WrongLoopError,
    YieldError,
)

if TYPE_CHECKING:
    from warmkit.clock import Clock, Reading, SystemClock, gap
    from warmkit.environment import Environment, ResourceStatistics, Statistics
    from warmkit.events import Call, Event, EventKind, Observer, State
    from warmkit.handler import WarmHandler, warm_handler
    from warmkit.hosts.platform import concurrency, identity
    from warmkit.inject import Context, Invocation, Lazy
    from warmkit.recipe import Resource, resource
    from warmkit.stream import HttpPrelude
    from warmkit.visit import after_response

__all__ = [
    "Call",
    "CheckError",
    "Clock",
    "CloseError",
    "Context",
    "CyclicDependencyError",
    "DeadlineError",
    "DefinitionError",
    "Environment",
    "EnvironmentClosedError",
    "Event",
    "EventKind",
    "HttpPrelude",
    "InsideLoopError",
    "Invocation",
    "Lazy",
    "Observer",
    "Reading",
    "RefreshError",
    "Resource",
    "ResourceError",
    "ResourceStatistics",
    "ScopeError",
    "StartError",
    "State",
    "Statistics",
    "SystemClock",
    "TeardownError",
    "TimeLimitError",
    "UnknownDependencyError",
    "UsageError",
    "WarmHandler",
    "WarmkitError",
    "WrongLoopError",
    "YieldError",
    "after_response",
    "concurrency",
    "gap",
    "identity",
    "resource",
    "warm_handler",
]


_LATE = {
    "Call": "events",
    "Clock": "clock",
    "Context": "inject",
    "Environment": "environment",
    "Event": "events",
    "EventKind": "events",
    "HttpPrelude": "stream",
    "Invocation": "inject",
    "Lazy": "inject",
    "Observer": "events",
    "Reading": "clock",
    "Resource": "recipe",
    "ResourceStatistics": "environment",
    "State": "events",
    "Statistics": "environment",
    "SystemClock": "clock",
    "WarmHandler": "handler",
    "after_response": "visit",
    "concurrency": "hosts.platform",
    "gap": "clock",
    "identity": "hosts.platform",
    "resource": "recipe",
    "warm_handler": "handler",
}
"""What is imported when it is first asked for, and from where. Only the errors are there at once."""


def __getattr__(name: str) -> object:
    if name in _LATE:
        import importlib

        value = getattr(importlib.import_module(f"warmkit.{_LATE[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'warmkit' has no attribute {name!r}")
