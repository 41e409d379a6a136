"""A user's module whose annotations are text: what tests import as `annotated_as_text`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from warmkit import Invocation, Lazy, resource

if TYPE_CHECKING:
    from a_library_for_type_checkers import LambdaContext


@resource
async def db() -> str:
    return "db"


@resource
async def api(db: Annotated[str, db]) -> str:
    return f"api on {db}"


async def handler(
    event: dict[str, object],
    context: LambdaContext,
    db: Annotated[str, db],
    api: Annotated[Lazy[str], api],
    invocation: Invocation,
) -> tuple[str, str, int]:
    return db, await api, invocation.number


async def takes_what_only_checkers_know(
    event: object, context: object, pool: LambdaContext
) -> None:
    """Registered by keyword, or not at all."""


def made_in_a_function():
    @resource
    async def local() -> str:
        return "local"

    async def inner(event: object, context: object, value: Annotated[str, local]) -> str:
        local  # noqa: B018  makes it a cell of the function
        return value

    return inner


@resource
async def egg(hen: Annotated[str, hen]) -> str:
    return "egg"


@resource
async def hen(egg: Annotated[str, egg]) -> str:
    return "hen"


async def breakfast(event: object, context: object, egg: Annotated[str, egg]) -> None:
    """Needs a circle."""


@resource
async def lazy_egg(hen: Annotated[Lazy[str], lazy_hen]) -> str:
    return "egg"


@resource
async def lazy_hen(egg: Annotated[str, lazy_egg]) -> str:
    return "hen"


async def late_breakfast(event: object, context: object, hen: Annotated[str, lazy_hen]) -> str:
    return hen
