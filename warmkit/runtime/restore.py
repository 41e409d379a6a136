"""SnapStart's part of the init phase: hooks, the snapshot, hooks; failures are told as AWS's runtime tells them.

Loaded only where a snapshot is to be taken. What our own hooks do is said in `hosts.snapstart`.
Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
"""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from warmkit.hosts.ending import EndedError
from warmkit.hosts.snapstart import Hook, Registry, registry
from warmkit.runtime.api import ApiGoneError, RuntimeApi
from warmkit.runtime.failure import Failure, failure_of
from warmkit.runtime.invocation import Tell
from warmkit.runtime.lines import at_once


class _Outcome(NamedTuple):
    """How a part that failed is told.

    Attributes:
        kind: The type that the platform keeps.
        status: What the process ends with.
    """

    kind: str
    status: int


BEFORE = _Outcome("Runtime.BeforeSnapshotError", 64)
AFTER = _Outcome("Runtime.AfterRestoreError", 65)


def pass_snapshot(api: RuntimeApi, tell: Tell) -> int:
    """Returns when this copy of the process has been restored: 0, or the status that it is to end with."""
    hooks = registry() or Registry([], [])
    failure = _failure(lambda: _suspend(hooks.before, api))
    if failure is not None:
        return _give_up(failure, BEFORE, tell, lambda told: at_once(api.fail_init(told)))
    failure = _failure(lambda: _resume(hooks.after))
    if failure is not None:
        return _give_up(failure, AFTER, tell, lambda told: at_once(api.fail_restore(told)))
    return 0


def _suspend(hooks: list[Hook], api: RuntimeApi) -> None:
    while hooks:
        function, positional, named = hooks.pop()
        function(*positional, **named)
    at_once(api.restored())


def _resume(hooks: list[Hook]) -> None:
    for function, positional, named in hooks:
        function(*positional, **named)


def _failure(part: Callable[[], None]) -> Failure | None:
    """The one place where what a hook raises becomes a value, an exit included."""
    try:
        part()
    except EndedError:
        raise
    except BaseException as error:  # noqa: BLE001  see above
        return failure_of(error)
    return None


def _give_up(
    failure: Failure, outcome: _Outcome, tell: Tell, report: Callable[[Failure], None]
) -> int:
    tell(failure)
    with suppress(ApiGoneError):  # then nobody is there to be told
        report(failure._replace(kind=outcome.kind))
    return outcome.status
