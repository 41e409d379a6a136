"""What a rule is, and when one does not apply."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from warmkit import Resource
from warmkit.testing.conformance.world import Subject, World

Body: TypeAlias = Callable[[World], None]
Exempt: TypeAlias = Callable[[Subject, Resource[Any]], str]
"""Why a rule does not apply; empty: it does."""


class Rule(NamedTuple):
    """One rule. Its text is its name.

    Attributes:
        name: What it is called.
        expected: What it asks for.
        write: What to write if it is broken; `{name}` stands for the resource's.
        body: Tries it; raises what breaks it.
        exempt: Says why it does not apply.
    """

    name: str
    expected: str
    write: str
    body: Body
    exempt: Exempt

    def __str__(self) -> str:
        return self.name


def always(subject: Subject, recipe: Resource[Any]) -> str:
    """It applies to every resource."""
    return ""


def with_server(subject: Subject, recipe: Resource[Any]) -> str:
    """It applies where there is a server."""
    return "" if subject.server else "there is no server"


def with_check(subject: Subject, recipe: Resource[Any]) -> str:
    """It applies where there is a check."""
    return "" if recipe.hooks.check else "the resource has no check"


def with_server_and_check(subject: Subject, recipe: Resource[Any]) -> str:
    """It applies where there are both."""
    return with_server(subject, recipe) or with_check(subject, recipe)


def with_secrets(subject: Subject, recipe: Resource[Any]) -> str:
    """It applies where there is something to hide."""
    return "" if subject.secrets else "no secrets were given"


def rule(name: str, *, write: str, exempt: Exempt = always) -> Callable[[Body], Rule]:
    """Decorator: makes a rule of its body, whose docstring says what it asks for.

    Args:
        name: What it is called.
        write: What to write if it is broken; `{name}` stands for the resource's.
        exempt: Says why it does not apply.
    """
    return lambda body: Rule(name, body.__doc__ or "", write, body, exempt)
