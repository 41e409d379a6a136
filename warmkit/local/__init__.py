"""Tools for a developer's own machine: the local Lambda, local servers, the demo and the command line."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warmkit.local.blocking import BlockingLambda
    from warmkit.local.fleet import ThrottledError
    from warmkit.local.local_lambda import Answer, LocalLambda

__all__ = ["Answer", "BlockingLambda", "LocalLambda", "ThrottledError"]

_WHERE = {
    "Answer": "warmkit.local.local_lambda",
    "BlockingLambda": "warmkit.local.blocking",
    "LocalLambda": "warmkit.local.local_lambda",
    "ThrottledError": "warmkit.local.fleet",
}


def __getattr__(name: str) -> object:
    """Load what the local Lambda is made of when it is used: a server needs none of it."""
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'warmkit.local' has no attribute {name!r}")
