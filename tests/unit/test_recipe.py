"""Recipes: what they say, when they are final, and what they refuse."""

import pytest

from warmkit import DefinitionError, Resource, resource, warm_handler
from warmkit.freshness import Limits
from warmkit.recipe import Hooks, Options


def make():
    return "value"


def test_a_bare_decorator_takes_the_functions_name_and_the_defaults():
    made = resource(make)
    assert (made.name, made.factory, made.options, made.hooks) == ("make", make, Options(), Hooks())
    assert repr(made) == "<Resource 'make'>"


def test_the_defaults_are_those_of_the_reference():
    assert Options()._asdict() == {
        "scope": "environment",
        "check_after": 1.0,
        "check_timeout": 1.0,
        "start_timeout": 5.0,
        "close_timeout": 0.25,
        "max_gap": None,
        "max_age": None,
        "start": "auto",
        "enter": True,
        "snapshot": "auto",
    }


def test_every_option_and_hook_arrives():
    def alive(value): ...
    def check(value): ...
    def refresh(value): ...
    def expires_at(value): ...

    made = resource(
        name="db",
        scope="invocation",
        alive=alive,
        check=check,
        check_after=2,
        check_timeout=3,
        start_timeout=4,
        close_timeout=5,
        refresh=refresh,
        max_gap=6,
        max_age=7,
        expires_at=expires_at,
        start="eager",
        enter=False,
        snapshot="keep",
    )(make)
    assert made.name == "db"
    assert made.options == Options(
        "invocation", 2, 3, 4, 5, 6, 7, "eager", enter=False, snapshot="keep"
    )
    assert made.hooks == Hooks(alive, check, refresh, expires_at)


def test_hooks_can_be_attached_as_decorators_which_return_the_function():
    made = resource(make)

    @made.alive
    def alive(value): ...
    @made.check
    def check(value): ...
    @made.refresh
    def refresh(value): ...
    @made.expires_at
    def expires_at(value): ...

    assert made.hooks == Hooks(alive, check, refresh, expires_at)


@pytest.mark.parametrize("hook", ["alive", "check", "refresh", "expires_at"])
def test_a_hook_cannot_be_attached_once_a_handler_takes_the_resource(hook):
    made = resource(make)
    warm_handler(db=made)(lambda event, context, db: db)
    with pytest.raises(DefinitionError) as raised:
        getattr(made, hook)(make)
    assert str(raised.value) == (
        f"resource 'make' is in use already, so its {hook} cannot change.\n"
        "  Attach it where the resource is defined, above the first handler that takes it."
    )


def test_a_lambda_is_called_what_its_first_parameter_calls_it():
    made = resource(lambda: 0)
    warm_handler(db=made)(lambda event, context, db: db)
    warm_handler(other=made)(lambda event, context, other: other)
    assert made.name == "db"


@pytest.mark.parametrize(
    ("limits", "options"),
    [
        (Limits(), {}),
        (Limits(max_gap=300.0, can_check=True), {"check": make}),
        (Limits(max_gap=300.0, can_refresh=True), {"refresh": make}),
        (Limits(max_gap=9, can_check=True), {"check": make, "max_gap": 9}),
        (Limits(max_gap=9), {"max_gap": 9}),
        (Limits(check_after=7, max_age=8), {"check_after": 7, "max_age": 8}),
    ],
)
def test_a_gap_is_too_long_by_default_only_where_something_can_go_stale(limits, options):
    assert resource(**options)(make).limits == limits


@pytest.mark.parametrize(
    ("perishable", "options"),
    [
        (False, {}),
        (False, {"max_age": 1}),
        (True, {"alive": make}),
        (True, {"check": make}),
        (True, {"refresh": make}),
        (True, {"max_gap": 1}),
    ],
)
def test_what_says_something_of_going_stale_is_perishable(perishable, options):
    assert resource(**options)(make).perishable is perishable


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("scope must be 'environment' or 'invocation', not 'request'", {"scope": "request"}),
        ("start must be 'lazy' or 'eager' or 'auto', not 'soon'", {"start": "soon"}),
        ("snapshot must be 'keep' or 'close' or 'auto', not 'yes'", {"snapshot": "yes"}),
        ("check_after must be a number of seconds, 0 or more, not -1", {"check_after": -1}),
        ("check_timeout must be a number of seconds, 0 or more, not True", {"check_timeout": True}),
        ("start_timeout must be a number of seconds, 0 or more, not None", {"start_timeout": None}),
        ("close_timeout must be a number of seconds, 0 or more, not a str", {"close_timeout": "1"}),
        ("max_gap must be a number of seconds, 0 or more, not -0.5", {"max_gap": -0.5}),
        ("max_age must be a number of seconds, 0 or more, not nan", {"max_age": float("nan")}),
        ("a resource's alive must be a function, not bool", {"alive": True}),
        ("a resource's check must be a function, not str", {"check": "SELECT 1"}),
        ("a resource's refresh must be a function, not int", {"refresh": 3}),
        ("a resource's expires_at must be a function, not float", {"expires_at": 1.5}),
    ],
)
def test_an_option_that_can_never_work_is_an_error_with_the_whole_message(text, options):
    with pytest.raises(DefinitionError) as raised:
        resource(**options)(make)
    assert str(raised.value) == text


def test_a_factory_that_is_no_function_is_an_error():
    with pytest.raises(DefinitionError) as raised:
        Resource("db")
    assert str(raised.value) == "a resource's factory must be a function, not str"


def test_a_dependency_that_is_no_resource_is_an_error():
    """`resource(url=...)` looks as if any argument could be passed to the factory."""
    with pytest.raises(DefinitionError):
        resource(url="postgres://")(lambda url: url)
