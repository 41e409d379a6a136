"""warmkit owns the life of a serverless execution environment.

Declare what lives as long as the environment; get it injected, alive, on every invocation.
"""

from typing import TYPE_CHECKING

from warmkit.clock import Clock, Reading, SystemClock, gap
from warmkit.environment import Environment, ResourceStatistics, Statistics
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
from warmkit.events import Call, Event, EventKind, Observer, State
from warmkit.handler import WarmHandler, warm_handler
from warmkit.inject import Context, Invocation, Lazy
from warmkit.resource import Resource, resource
from warmkit.visit import after_response

if TYPE_CHECKING:
    from warmkit.hosts.platform import concurrency, identity
    from warmkit.stream import HttpPrelude

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
    "concurrency": "warmkit.hosts.platform",
    "identity": "warmkit.hosts.platform",
    "HttpPrelude": "warmkit.stream",
}
"""What is not needed to declare anything, and where it is."""


def __getattr__(name: str) -> object:
    if name in _LATE:
        import importlib

        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module 'warmkit' has no attribute {name!r}")
