"""What a parameter can be handed, and which parameter of a function asks for what.

It only reads. What a resource is, and where its value comes from, is known further down.
"""

import inspect
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from enum import Enum
from typing import (
    Annotated,
    Any,
    Generic,
    NamedTuple,
    Protocol,
    TypeVar,
    get_args,
    get_origin,
    runtime_checkable,
)

from warmkit.errors import DefinitionError, UnknownDependencyError

T_co = TypeVar("T_co", covariant=True)

_NAMED_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_POSITIONAL_KINDS = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@runtime_checkable
class Context(Protocol):
    """What warmkit reads of the `context` that the host passes; it goes through to the handler untouched.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Returns the milliseconds until the platform ends the invocation."""
        ...


class Invocation(NamedTuple):
    """The facts of one invocation: annotate a parameter with it to be handed them.

    Attributes:
        environment_id: The environment that serves it; eight hexadecimal digits.
        number: Its number in this environment, from 1.
        cold: It is the first one of its environment.
        gap: Seconds since the invocation before it ended; 0 for the first.
        request_id: The host's id for it; None where the host gave none.
        deadline: When the host will end it, in seconds since the Unix epoch; None: never.
    """

    environment_id: str
    number: int
    cold: bool
    gap: float
    request_id: str | None
    deadline: float | None


class Lazy(Generic[T_co]):
    """A resource that is started only if the code asks for it.

    Awaiting it gives the live value, as fresh as an injected one; each await asks anew. It is good for
    the invocation it was handed to.

    ```python
    async def handler(event, context, db: Annotated[Lazy[asyncpg.Pool], db]):
        if "id" not in event:
            return {"statusCode": 400}  # no connection was needed
        return await (await db).fetchval("SELECT name FROM customer WHERE id = $1", event["id"])
    ```
    """

    __slots__ = ("_get",)

    def __init__(self, get: Callable[[], Awaitable[T_co]]) -> None:
        self._get = get

    def __await__(self) -> Generator[Any, None, T_co]:
        """Returns the live value.

        Raises:
            StartError: It did not start.
        """
        return self._get().__await__()


class Injectable:
    """Base of what may stand in `Annotated[...]` or among a decorator's keywords."""

    __slots__ = ()


class Wants(Enum):
    """In which shape a parameter takes its resource."""

    VALUE = "value"
    LAZY = "lazy"
    INVOCATION = "invocation"


class Need(NamedTuple):
    """One injected parameter.

    Attributes:
        parameter: Its name.
        wants: The value, a lazy accessor, or the facts of the invocation.
        resource: The recipe; None for the facts.
    """

    parameter: str
    wants: Wants
    resource: Injectable | None


class HandlerSignature(NamedTuple):
    """How a handler is called.

    Attributes:
        takes_context: Its second positional parameter is the host's context.
        needs: The injected parameters, given by keyword.
    """

    takes_context: bool
    needs: tuple[Need, ...]


def read_handler(
    function: Callable[..., object], named: Mapping[str, Injectable]
) -> HandlerSignature:
    """Reads a handler: `event` first, then perhaps the context, then what is injected.

    Raises:
        UnknownDependencyError: A parameter has no resource, or a resource has no parameter.
    """
    owner = _name_of(function)
    parameters = _parameters(function, owner)
    if not parameters or parameters[0].kind not in _POSITIONAL_KINDS:
        raise DefinitionError(
            f"{owner}: a handler's first parameter takes the event.\n"
            f"  Write: async def {owner}(event, context, ...): ..."
        )
    names = [parameter.name for parameter in parameters]
    if names[0] == "self":
        raise DefinitionError(
            f"{owner} is a method, and nobody passes its self.\n"
            "  Decorate a function, or wrap the bound method: warm_handler(...)(app.handle)"
        )
    event = parameters.pop(0)
    if event.name in named:
        raise UnknownDependencyError(
            owner,
            event.name,
            reason="comes first, where the event is passed, so no resource can be injected there",
            advice=f"Write: async def {owner}(event, context, {event.name}): ...",
        )
    takes_context = bool(parameters) and _is_context(function, parameters[0], named)
    if takes_context:
        parameters.pop(0)
    return HandlerSignature(takes_context, _needs(function, parameters, named, owner, names))


def read_factory(
    function: Callable[..., object], named: Mapping[str, Injectable]
) -> tuple[Need, ...]:
    """Reads a resource's factory: all its parameters are injected.

    Raises:
        UnknownDependencyError: A parameter has no resource, or a resource has no parameter.
    """
    owner = _name_of(function)
    parameters = _parameters(function, owner)
    names = [parameter.name for parameter in parameters]
    return _needs(function, parameters, named, owner, names)


def _parameters(function: Callable[..., object], owner: str) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:  # some builtins have no signature
        raise DefinitionError(
            f"{owner} has no signature that can be read.\n  Wrap it in a function of your own."
        ) from error


def _is_context(
    function: Callable[..., object], parameter: inspect.Parameter, named: Mapping[str, Injectable]
) -> bool:
    """Whether the second parameter takes the host's context: it is called so, or typed so.

    Anything else would let a resource that somebody forgot to register pass for the context.
    """
    if parameter.kind not in _POSITIONAL_KINDS or parameter.name in named:
        return False
    try:
        annotation = _resolve(function, parameter)
    except NameError:
        annotation = str(parameter.annotation)  # a type for the checker only, such as LambdaContext
    if annotation is Invocation or _annotated_resource(annotation) is not None:
        return False
    named_so = (
        "context" in parameter.name or parameter.name in ("ctx", "_") or parameter.name[0] == "_"
    )
    typed = getattr(annotation, "__name__", annotation)
    typed_so = isinstance(typed, str) and typed.rpartition(".")[2].endswith("Context")
    return named_so or typed_so


def _needs(
    function: Callable[..., object],
    parameters: Sequence[inspect.Parameter],
    named: Mapping[str, Injectable],
    owner: str,
    names: list[str],
) -> tuple[Need, ...]:
    needs = tuple(
        need
        for parameter in parameters
        if (need := _need(function, parameter, named, owner)) is not None
    )
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    taken = {need.parameter for need in needs}
    for name in [name for name in named if name not in taken]:
        if not takes_any:
            raise UnknownDependencyError(
                owner,
                name,
                reason="is registered, but the function does not take it",
                advice=similar(name, names)
                or f"Add the parameter {name}, or take {name}=... out of the decorator.",
            )
        needs += (Need(name, Wants.VALUE, named[name]),)
    return needs


def _need(
    function: Callable[..., object],
    parameter: inspect.Parameter,
    named: Mapping[str, Injectable],
    owner: str,
) -> Need | None:
    resource = named.get(parameter.name)
    try:
        annotation = _resolve(function, parameter)
    except NameError as error:
        if resource is None and parameter.default is inspect.Parameter.empty:
            raise UnknownDependencyError(
                owner,
                parameter.name,
                reason=f"has an annotation that cannot be read: {error}",
                advice="Make the name a global of the module, or register the resource by keyword: "
                f"{parameter.name}=...",
            ) from error
        annotation = None
    if annotation is Invocation:
        return Need(parameter.name, Wants.INVOCATION, None)
    annotated = _annotated_resource(annotation)
    if annotated is not None and resource is not None and annotated is not resource:
        raise UnknownDependencyError(
            owner,
            parameter.name,
            reason="is registered as one resource and annotated with another",
            advice="Take one of the two away.",
        )
    resource = annotated or resource
    if resource is None:
        return _unresolved(parameter, named, owner)
    if parameter.kind not in _NAMED_KINDS:
        raise UnknownDependencyError(
            owner,
            parameter.name,
            reason="can only be passed by position, but resources are injected by name",
            advice="Take it out from before the / in the signature.",
        )
    wants = Wants.LAZY if _is_lazy(annotation) else Wants.VALUE
    return Need(parameter.name, wants, resource)


def _unresolved(
    parameter: inspect.Parameter, named: Mapping[str, Injectable], owner: str
) -> Need | None:
    variadic = parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    if variadic or parameter.default is not inspect.Parameter.empty:
        return None
    raise UnknownDependencyError(
        owner,
        parameter.name,
        reason="names no resource",
        advice=similar(parameter.name, list(named))
        or f"Register it by keyword, {parameter.name}=..., or annotate it: "
        f"{parameter.name}: Annotated[Type, resource].",
    )


def similar(name: str, candidates: Sequence[str]) -> str:
    """Returns a question about the most similar of the candidates; empty if there is none."""
    import difflib  # only an error pays for it

    close = difflib.get_close_matches(name, candidates, n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


def _annotated_resource(annotation: object) -> Injectable | None:
    if get_origin(annotation) is not Annotated:
        return None
    return next((item for item in get_args(annotation)[1:] if isinstance(item, Injectable)), None)


def _is_lazy(annotation: object) -> bool:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation is Lazy or get_origin(annotation) is Lazy


def _resolve(function: Callable[..., object], parameter: inspect.Parameter) -> Any:
    """Returns the annotation, evaluated if it is text (`from __future__ import annotations`).

    Each on its own: one that is for the type checker only must not hide the others.
    """
    annotation = parameter.annotation
    if not isinstance(annotation, str):
        return annotation
    plain = inspect.unwrap(function)
    plain = getattr(plain, "func", plain)  # functools.partial
    plain = plain.__init__ if inspect.isclass(plain) else plain
    scope: dict[str, object] = dict(getattr(plain, "__globals__", {}))
    closure = getattr(plain, "__closure__", None)
    if closure:
        cells = zip(plain.__code__.co_freevars, closure, strict=True)
        scope.update({name: cell.cell_contents for name, cell in cells if _is_filled(cell)})
    try:
        return eval(annotation, scope)  # noqa: S307  the module's own source text
    except NameError:
        raise
    except Exception as error:  # an attribute of a lazy module, a subscript that only checkers know
        raise NameError(str(error)) from error


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  an empty cell raises
    except ValueError:
        return False
    return True


def _name_of(function: Callable[..., object]) -> str:
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)
