"""SnapStart: what the runtime, AWS's or ours, calls before a snapshot of the process is taken, and after each restore.

Loaded only where the platform says that one will be taken. Both hooks run on the main thread, while no loop does.
Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

from warmkit.environment import Environment, default_environment
from warmkit.errors import TeardownError
from warmkit.events import Observer
from warmkit.hosts.loop import PersistentLoop, persistent_loop

_log = logging.getLogger("warmkit")

Hook: TypeAlias = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]
"""A function, and what it is called with."""


class Registry(NamedTuple):
    """What was registered with AWS's package, as the runtime is to run it.

    Attributes:
        before: Before the snapshot; the last one first.
        after: After a restore; the first one first.
    """

    before: list[Hook]
    after: list[Hook]


_observers: list[Observer] = []
_registered: list[bool] = []


def registry() -> Registry | None:
    """Returns the lists that hooks are registered in; None: AWS's package is missing."""
    try:
        package: Any = import_module("snapshot_restore_py")
    except ImportError:
        return None
    return Registry(package.get_before_snapshot(), package.get_after_restore())


def register(observers: Iterable[Observer]) -> bool:
    """Registers our hooks, once for all handlers of the process; returns whether anybody will call them.

    Args:
        observers: A handler's; those that listen by then are told what is closed.
    """
    _observers.extend(item for item in observers if item not in _observers)
    if not _registered:
        _registered.append(_register())
    return _registered[0]


def _register() -> bool:
    hooks = registry()
    if hooks is None:
        _log.warning(
            "no resource starts before its first use: what a snapshot must not hold has to be closed before it, "
            "and the package snapshot_restore_py, which registers hooks for that, is missing"
        )
        return False
    # Around all others, whenever those are registered: they can use what we close, and find what we have made new.
    hooks.before.insert(0, (before_snapshot, (), {}))
    hooks.after.insert(0, (after_restore, (), {}))
    return True


def before_snapshot() -> None:
    """Closes what cannot be cloned. What does not close is out of use, and no reason to have no snapshot."""
    host, environment = _served()
    environment.live.admit(_observers)
    try:
        host.run(environment.before_snapshot())
    except TeardownError as failed:
        for error in failed.exceptions:
            _log.warning("before the snapshot: %s", error)


def after_restore() -> None:
    """Makes the environment, and chance, this copy's own."""
    _reseed()
    host, environment = _served()
    host.step(environment.after_restore)


def _served() -> tuple[PersistentLoop, Environment]:
    host = persistent_loop()
    return host, default_environment(host.loop)


def _reseed() -> None:
    """Gives the interpreter's generators, which were cloned, a state of their own. Those not loaded yet have none.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart-uniqueness.html
    """
    random, tls = sys.modules.get("random"), sys.modules.get("_ssl")
    if random is not None:
        random.seed()
    if tls is not None:  # OpenSSL's own pool notices a fork, but no restore
        entropy = os.urandom(32)
        tls.RAND_add(entropy, float(len(entropy)))
