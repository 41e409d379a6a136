"""AWS's Python runtime, while it imports the handler: what must be done in the init phase, and can be done only there."""

import logging
import os
import signal
import threading
from collections.abc import Iterable
from typing import Any

from warmkit.environment import default_environment
from warmkit.events import Observer
from warmkit.hosts import ending
from warmkit.hosts.extension import register
from warmkit.hosts.loop import cancel_what_runs, is_inside_a_loop, persistent_loop
from warmkit.hosts.platform import initialization, starts_in_init
from warmkit.hosts.serving import close_everything
from warmkit.recipe import Resource

POSTING = 0.02
"""Seconds in which AWS's runtime posts an answer. When it has done so, nobody is told."""

_log = logging.getLogger("warmkit")
_done: set[str] = set()


def begin(resources: Iterable[Resource[Any]], observers: Iterable[Observer]) -> None:
    """Takes part in the init phase, on behalf of one handler: its end is arranged for before anything is started."""
    if ending.current() is None:
        _arrange_for_the_end()
    end = ending.current()
    if end is None:
        _prewarm(resources, observers)
    else:
        end.during(_prewarm, resources, observers)


def _arrange_for_the_end() -> None:
    """Makes the platform announce the end, and notices it. Nothing here fails an environment."""
    if threading.current_thread() is not threading.main_thread():
        _say_once(
            "nothing will be closed on SIGTERM: the handler is declared in another thread than the main one, and Python "
            "tells of signals there only"
        )
        return
    if "registered" in _done:
        return
    _done.add("registered")
    if register(os.environ["AWS_LAMBDA_RUNTIME_API"]) == "unreachable":
        return  # a test, or a script
    end = ending.Ending(close_everything, posting=POSTING)
    end.when_announced(cut=cancel_what_runs)
    try:
        end.listen(signal.SIGTERM)
    except ValueError as error:  # another interpreter than the first
        _say_once(f"nothing will be closed on SIGTERM: {error}")


def _say_once(what: str) -> None:
    if what not in _done:
        _done.add(what)
        _log.warning(what)


def _prewarm(resources: Iterable[Resource[Any]], observers: Iterable[Observer]) -> None:
    """Starts what is eager. A failure is left to the first use.

    The observers that listen by then are told, and settled: a long freeze may follow. With SnapStart a snapshot
    follows, for which everything is made ready; where that cannot be, nothing starts.
    """
    if initialization() == "snap-start":
        from warmkit.hosts import snapstart

        if not snapstart.register(observers):
            return
    eager = [resource for resource in resources if starts_in_init(resource)]
    if not eager or is_inside_a_loop():
        return
    host = persistent_loop()
    environment = default_environment(host.loop)
    environment.live.admit(observers)
    try:
        host.run(environment.prewarm(*eager))
    except Exception as error:  # noqa: BLE001  the first use tries again and raises
        _log.warning("not started in the init phase, tried again on first use: %s", error)
    if environment.live.unsettled:
        host.run(environment.settle())
