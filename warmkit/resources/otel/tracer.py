"""The recipe of a tracer: OpenTelemetry's API does the work, with an SDK behind it or without."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from warmkit import DefinitionError, Resource, resource
from warmkit.resources.errors import needing

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


def tracer(
    name: str,
    *,
    version: str | None = None,
    schema_url: str | None = None,
    attributes: Mapping[str, str | bool | int | float] | None = None,
) -> "Resource[Tracer]":
    """Returns the recipe of a tracer.

    Without an SDK its spans are nothing and cost next to nothing; an SDK that is configured later is used from then on.

    ```python
    @warm_handler(trace=tracer("orders"))
    async def handler(event, context, trace):
        with trace.start_as_current_span("count"):
            ...
    ```

    Args:
        name: Of what is traced, as a rule the module: the spans' instrumentation scope.
        version: The version of that.
        schema_url: The schema of its attributes.
        attributes: Of the instrumentation scope.

    Raises:
        DefinitionError: An argument can never work.

    The cause of its `StartError` is a `MissingPackageError`: opentelemetry-api is not installed.
    """
    _refuse_wrong(name, {"version": version, "schema_url": schema_url}, attributes)
    scope = None if attributes is None else dict(attributes)
    return resource(_TracerFactory(name, version, schema_url, scope))


class _TracerFactory:
    """Starts tracers. It has no name of its own, so that the resource is called as its parameter is."""

    def __init__(
        self,
        name: str,
        version: str | None,
        schema_url: str | None,
        attributes: dict[str, str | bool | int | float] | None,
    ) -> None:
        self._scope = (name, version, None, schema_url, attributes)

    def __call__(self) -> "Tracer":
        with needing("opentelemetry", extra="otel"):
            from opentelemetry import trace
        return trace.get_tracer(*self._scope)


def _refuse_wrong(name: Any, texts: Mapping[str, object], attributes: Any) -> None:
    if not isinstance(name, str) or not name:
        came = "an empty one" if name == "" else type(name).__name__
        raise DefinitionError(
            f"a tracer's name must be a str, not {came}.\n  Write: tracer(__name__)"
        )
    for option, text in texts.items():
        if text is not None and not isinstance(text, str):
            raise DefinitionError(f"{option} must be a str, or None, not {type(text).__name__}")
    if attributes is not None and not isinstance(attributes, Mapping):
        raise DefinitionError(f"attributes must be a mapping, not {type(attributes).__name__}")
