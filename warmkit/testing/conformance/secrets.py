"""Looks for secrets in what a resource shows: texts only, and never shows them itself."""

from collections.abc import Iterable, Iterator
from urllib.parse import quote

from warmkit.testing.conformance.world import World

MASK = "***"


def shown_secrets(world: World) -> str:
    """Returns where a secret is shown, and as what; empty: nowhere."""
    shown = [f"{where}: {masked(text, world.secrets)}" for where, text in _texts(world)]
    return "\n".join(line for line in dict.fromkeys(shown) if MASK in line)


def masked(text: str, secrets: Iterable[str]) -> str:
    """Returns the text without the secrets, as they are or as URLs write them."""
    for secret in secrets:
        for form in (secret, quote(secret, safe="")):
            text = text.replace(form, MASK)
    return text


def _texts(world: World) -> Iterator[tuple[str, str]]:
    yield "repr(resource)", repr(world.recipe)
    yield "str(resource)", str(world.recipe)
    errors = [*world.errors, *world.teardown_errors]
    errors += [event.error for event in world.recorder.events if event.error is not None]
    for error in errors:
        yield from _texts_of(error, set())
    for event in world.recorder.events:
        yield f"the event {event.kind!s}", event.reason
    for line in world.logs:
        yield "a log line", line


def _texts_of(error: BaseException, seen: set[int]) -> Iterator[tuple[str, str]]:
    """The error, and all that a traceback would show with it."""
    if id(error) in seen:
        return
    seen.add(id(error))
    name = type(error).__name__
    yield f"str({name})", str(error)
    yield f"repr({name})", repr(error)
    for note in getattr(error, "__notes__", ()):
        yield f"a note of {name}", str(note)
    inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())  # a group's
    context = None if error.__suppress_context__ else error.__context__
    for other in (error.__cause__, context, *inner):
        if other is not None:
            yield from _texts_of(other, seen)
