"""What a test needs to hold time, and the world behind a resource, in its hands.

`run` drives a coroutine in virtual time: a deadline of five seconds costs none, and code that waits for ever
fails with the names of those who wait. `VirtualClock` is the matching `Environment(clock=...)`, and can freeze.
`EventRecorder` tells what happened as a list; `FakeResource` is a resource that behaves as it is told.

It imports public warmkit and the standard library only.
"""

from warmkit.testing.clock import VirtualClock
from warmkit.testing.fakes import HANG, FakeResource, FakeValue, Step, then
from warmkit.testing.loop import DeadlockError, VirtualLoop, run
from warmkit.testing.recorder import EventRecorder

__all__ = [
    "HANG",
    "DeadlockError",
    "EventRecorder",
    "FakeResource",
    "FakeValue",
    "Step",
    "VirtualClock",
    "VirtualLoop",
    "run",
    "then",
]
