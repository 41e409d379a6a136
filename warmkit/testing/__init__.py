"""What a test needs to hold time, and the world behind a resource, in its hands.

`run` drives a coroutine in virtual time: a deadline of five seconds costs none, and code that waits for ever
fails with the names of those who wait. `VirtualClock` is the matching `Environment(clock=...)`, and can freeze.
`EventRecorder` tells what happened as a list; `FakeResource` is a resource that behaves as it is told.

`check_resource` checks a resource of your own against the `RULES`; `Relay` is the network that it breaks for that.

It imports public warmkit and the standard library only.
"""

from typing import TYPE_CHECKING

from warmkit.testing.clock import VirtualClock
from warmkit.testing.fakes import HANG, FakeResource, FakeValue, Step, then
from warmkit.testing.loop import DeadlockError, VirtualLoop, run
from warmkit.testing.recorder import EventRecorder

if TYPE_CHECKING:
    from warmkit.testing.conformance.examine import check_resource
    from warmkit.testing.conformance.report import ConformanceError, Outcome, Report, Standing
    from warmkit.testing.conformance.rule import Rule
    from warmkit.testing.conformance.rules import RULES
    from warmkit.testing.relay import Address, Relay

__all__ = [
    "HANG",
    "RULES",
    "Address",
    "ConformanceError",
    "DeadlockError",
    "EventRecorder",
    "FakeResource",
    "FakeValue",
    "Outcome",
    "Relay",
    "Report",
    "Rule",
    "Standing",
    "Step",
    "VirtualClock",
    "VirtualLoop",
    "check_resource",
    "run",
    "then",
]

_MODULES = {
    "RULES": "conformance.rules",
    "Address": "relay",
    "ConformanceError": "conformance.report",
    "Outcome": "conformance.report",
    "Relay": "relay",
    "Report": "conformance.report",
    "Rule": "conformance.rule",
    "Standing": "conformance.report",
    "check_resource": "conformance.examine",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'warmkit.testing' has no attribute {name!r}")
    from importlib import import_module  # tests that need no network load no sockets

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
