"""Every error that warmkit raises, by who can mend it.

`DefinitionError`: the code that declares resources and handlers (raised at import). `UsageError`: the code
that calls them. `ResourceError`: the world behind a resource. The data is in attributes, the text is made
when somebody reads it. This module knows nothing of resources but their names.
"""

from collections.abc import Sequence


class WarmkitError(Exception):
    """Base of all errors of this library."""


# -- the declaration is wrong: raised while the module is imported


class DefinitionError(WarmkitError):
    """A resource or a handler is declared in a way that can never work."""


class UnknownDependencyError(DefinitionError):
    """A parameter names no resource.

    Attributes:
        owner: The function whose parameter it is.
        parameter: The parameter's name.
        reason: What was found instead.
        advice: What to write.
    """

    def __init__(self, owner: str, parameter: str, reason: str, advice: str) -> None:
        super().__init__(owner, parameter, reason, advice)
        self.owner = owner
        self.parameter = parameter
        self.reason = reason
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.owner}: parameter {self.parameter!r} {self.reason}.\n  {self.advice}"


class CyclicDependencyError(DefinitionError):
    """Resources depend on each other in a circle.

    Attributes:
        path: The names along the circle, the first one again at the end.
    """

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__(tuple(path))
        self.path = tuple(path)

    def __str__(self) -> str:
        return (
            f"resources depend on each other in a circle:\n{draw_path(self.path)}\n"
            f"  Take one of them as Annotated[Lazy[...], {self.path[-1]}] and await it after the start, "
            "or move what both need into a third resource."
        )


class ScopeError(DefinitionError):
    """A resource that lives with the environment depends on one that ends with the invocation.

    Attributes:
        path: The names from the handler or resource to the one of the shorter life.
    """

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__(tuple(path))
        self.path = tuple(path)

    def __str__(self) -> str:
        owner, needed = self.path[-2:]
        return (
            f"{owner!r} lives as long as the environment, but {needed!r} ends with each invocation:\n"
            f"{draw_path(self.path)}\n"
            f'  Give {owner!r} scope="invocation" too, or take {needed!r} in the handler itself.'
        )


# -- the call is wrong


class UsageError(WarmkitError):
    """The library was called in a way that cannot work."""


class InsideLoopError(UsageError):
    """A handler was called synchronously by code that runs inside an event loop."""

    def __init__(self, handler: str) -> None:
        super().__init__(handler)
        self.handler = handler

    def __str__(self) -> str:
        return (
            f"{self.handler} was called synchronously inside a running event loop, which it would block for "
            f"ever.\n  Write: await {self.handler}.invoke(event, context)"
        )


class EnvironmentClosedError(UsageError):
    """An environment was used after its end, or in a process forked from its own.

    Attributes:
        environment_id: Which one.
        reason: What ended it.
    """

    def __init__(self, environment_id: str, reason: str) -> None:
        super().__init__(environment_id, reason)
        self.environment_id = environment_id
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"environment {self.environment_id} {self.reason}.\n"
            "  Make another: async with Environment() as environment: ..."
        )


class WrongLoopError(UsageError):
    """An environment was used in an event loop other than the one that its resources belong to."""

    def __init__(self, environment_id: str) -> None:
        super().__init__(environment_id)
        self.environment_id = environment_id

    def __str__(self) -> str:
        return (
            f"environment {self.environment_id} belongs to another event loop; its connections cannot be "
            "used in this one.\n  Make one in this loop: async with Environment() as environment: ..."
        )


# -- the world broke


class ResourceError(WarmkitError):
    """Something behind a resource failed; the cause is chained.

    Attributes:
        resource: The resource's name.
        seconds: How long it had been tried.
        advice: What to do, if more can be said than the cause says.
    """

    doing = "failed"

    def __init__(self, resource: str, seconds: float, advice: str = "") -> None:
        super().__init__(resource, seconds, advice)
        self.resource = resource
        self.seconds = seconds
        self.advice = advice

    def __str__(self) -> str:
        cause = self.__cause__
        what = "" if cause is None else f": {type(cause).__name__}: {cause}"
        advice = f"\n  {self.advice}" if self.advice else ""
        return f"resource {self.resource!r} {self.doing} after {self.seconds:.3f} s{what}{advice}"


class StartError(ResourceError):
    """A resource did not start. Nothing of it is kept: the next use tries again."""

    doing = "did not start"


class CheckError(ResourceError):
    """A live value was found dead. It is closed and started anew before the handler runs."""

    doing = "did not pass its check"


class RefreshError(ResourceError):
    """A live value could not be renewed. It is closed and started anew before the handler runs."""

    doing = "could not be refreshed"


class CloseError(ResourceError):
    """A resource did not end as it should have."""

    doing = "did not close"


class TimeLimitError(WarmkitError, TimeoutError):
    """A deadline ran out.

    Attributes:
        what: What was waited for.
        limit: The deadline in seconds.
        option: What to raise if the time was not enough.
    """

    def __init__(self, what: str, limit: float, option: str) -> None:
        super().__init__(what, limit, option)
        self.what = what
        self.limit = limit
        self.option = option

    def __str__(self) -> str:
        return f"{self.what} took longer than {self.option} = {round(self.limit, 3):g} s"


class DeadlineError(WarmkitError, TimeoutError):
    """A handler was ended shortly before the platform would have ended the whole environment.

    Attributes:
        seconds: How long it was allowed to run.
        margin: Seconds that were left then, for rolling back and for this answer.
    """

    def __init__(self, seconds: float, margin: float) -> None:
        super().__init__(seconds, margin)
        self.seconds = seconds
        self.margin = margin

    def __str__(self) -> str:
        return (
            f"the handler did not finish in {self.seconds:.3f} s and was ended {self.margin:.3f} s before the "
            "platform would have ended its environment, with all connections.\n"
            "  Give the function a longer timeout, or the handler less to do; deadline_margin= sets the margin."
        )


class YieldError(WarmkitError):
    """A generator resource did not yield exactly once."""

    def __init__(self, resource: str, times: str) -> None:
        super().__init__(resource, times)
        self.resource = resource
        self.times = times

    def __str__(self) -> str:
        return (
            f"resource {self.resource!r} yielded {self.times}.\n"
            "  Yield the value exactly once: what stands before the yield starts it, what stands after closes it."
        )


class TeardownError(ExceptionGroup[ResourceError], WarmkitError):
    """Some resources did not close; all others did."""


def draw_path(names: Sequence[str]) -> str:
    """Draws a dependency path, one step a line, each below what needs it."""
    lines = [f"  {names[0]}"]
    lines += [f"  {'   ' * depth}└─ {name}" for depth, name in enumerate(names[1:])]
    return "\n".join(lines)
