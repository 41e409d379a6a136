"""The rules of freshness: what a resource does after gaps, and when its server fails."""

from collections.abc import Iterator
from typing import Any

from warmkit import EventKind, Resource, StartError
from warmkit.testing.conformance.report import told
from warmkit.testing.conformance.rule import (
    rule,
    with_check,
    with_server,
    with_server_and_check,
)
from warmkit.testing.conformance.world import Finding, World, listed

_A_SECOND_TOO_LATE = 1.0
_CLOSE_AFTER_FAILURE = "close in a `finally` what a start that fails has opened."
_BY_ALIVE = (
    "say when a connection is dead, without a round trip; then it is made anew in time:\n"
    "@{name}.alive\n"
    "def _(client): return is_quiet(client.transport)  # from warmkit.resources\n"
    "Or let the client try again by itself."
)

# -- it stays fresh


@rule(
    "sleeps well",
    write="do not let timers decide: after a freeze they are late. Say how it stays fresh with `check` or `refresh`.",
)
def sleeps_well(world: World) -> None:
    """It works after gaps in which nothing broke."""
    world.call()
    for gap in _gaps(world.recipe):
        world.clock.freeze(gap)
        try:
            world.call()
        except Exception as error:
            raise Finding(f"after a gap of {gap:g} s: {told(error)}", error=error) from error
        _refuse_failed_checks(world, f"after a gap of {gap:g} s")


@rule(
    "passes its check",
    write="let the check ask the server what it answers to everybody, as `use` does; its deadline is check_timeout.",
    exempt=with_check,
)
def passes_its_check(world: World) -> None:
    """A value that works passes its check when it is distrusted, and is used on."""
    world.call()
    world.environment.distrust(world.recipe)
    world.call()
    _refuse_failed_checks(world, "when it was distrusted")


@rule(
    "fails its check",
    write="let the check send a request on the way that `use` takes, and raise what goes wrong:\n"
    "@{name}.check\n"
    "async def _(client): await client.ping()",
    exempt=with_server_and_check,
)
def fails_its_check(world: World) -> None:
    """The check fails when the server is gone: connections reset, new ones refused."""
    world.call()
    world.take_server_away()
    world.environment.distrust(world.recipe)
    world.attempt()
    if world.count(EventKind.CHECKED):
        raise Finding("the check passed")


# -- it survives


@rule(
    "survives resets",
    write=_BY_ALIVE,
    exempt=with_server,
)
def survives_resets(world: World) -> None:
    """An invocation works after idle connections were reset, as by a crash, however short the gap."""
    _survives(world, "reset", reset=True)


@rule(
    "survives farewells",
    write=_BY_ALIVE,
    exempt=with_server,
)
def survives_farewells(world: World) -> None:
    """An invocation works after the server closed idle connections in order, however short the gap."""
    _survives(world, "closed by the server", reset=False)


@rule(
    "survives silence",
    write="let cancellations through, give the client timeouts of its own, and never block the event loop.",
    exempt=with_server,
)
def survives_silence(world: World) -> None:
    """While the server is silent, invocations end with an error, within the resource's deadlines; then it heals."""
    for moment in ("at its first use", "when it was in use already"):
        world.silence()
        begun = world.loop.time()
        error = world.attempt()
        _refuse_wrong_error(world, error, f"the server was silent {moment}")
        took, limit = world.loop.time() - begun, world.deadlines + _A_SECOND_TOO_LATE
        if isinstance(error, StartError) and took > limit:
            raise Finding(
                f"{moment} it took {took:.1f} s to fail, of {world.deadlines:g} s", error=error
            )
        if not world.values and (left := world.connections()):
            raise Finding(f"after the start that failed: {listed(left)}", _CLOSE_AFTER_FAILURE)
        _heals(world, f"the server was silent {moment}")
        world.environment.distrust(world.recipe)


@rule(
    "survives a refusal",
    write="raise what goes wrong in the factory; a failed start is tried again by the next use, so keep nothing of it.",
    exempt=with_server,
)
def survives_a_refusal(world: World) -> None:
    """While the server refuses connections the invocation fails; then it heals, and leaves nothing behind."""
    world.take_server_away()
    _refuse_wrong_error(world, world.attempt(), "the server refused connections")
    _heals(world, "the server refused connections")
    world.end_without_leaks()


# -- what several rules share


def _gaps(recipe: Resource[Any]) -> Iterator[float]:
    limits = recipe.limits
    yield limits.check_after + 1
    if limits.max_gap is not None:
        yield limits.max_gap + 1
    yield 3600.0


def _survives(world: World, what: str, *, reset: bool) -> None:
    world.call()
    for gap in (0.0, *_gaps(world.recipe)):
        for loop_runs in (False, True):
            world.network.cut(reset=reset)
            if loop_runs:
                world.let_loop_run()
            world.clock.freeze(gap)
            try:
                world.call()
            except Finding:
                raise
            except Exception as error:
                when = "just after use" if not gap else f"after a gap of {gap:g} s"
                raise Finding(
                    f"{when}, with its connections {what}: {told(error)}",
                    _to_survive(world, gap),
                    error,
                ) from error


def _to_survive(world: World, gap: float) -> str:
    hooks = world.recipe.hooks
    if not gap or not (hooks.check or hooks.refresh):
        return _BY_ALIVE
    return "let the check (or the refresh) send a request, and raise if it fails: then the value is made anew in time."


def _refuse_failed_checks(world: World, when: str) -> None:
    for event in world.recorder.of(EventKind.CHECK_FAILED, EventKind.REFRESH_FAILED):
        assert event.error is not None
        raise Finding(f"{when}: {told(event.error)}", error=event.error)


def _refuse_wrong_error(world: World, error: BaseException | None, why: str) -> None:
    if error is None:
        raise Finding(
            f"although {why}, the invocation succeeded",
            "let `use` ask the server each time: what is remembered from before proves nothing.",
        )
    if not world.values and not isinstance(error, StartError):
        raise Finding(f"{why}, and the start raised {told(error)}", error=error)


def _heals(world: World, why: str) -> None:
    world.bring_server_back()
    try:
        world.call()
    except Finding:
        raise
    except Exception as error:
        raise Finding(
            f"{why}, and when it answered again: {told(error)}",
            "keep nothing of a failure; say in `alive` or `check` that the value is dead, so that it is made anew.",
            error,
        ) from error
