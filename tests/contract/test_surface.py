"""The public names, their documentation and their types: what users may rely on."""

import inspect

import pytest

import warmkit
import warmkit.local
import warmkit.resources
import warmkit.testing

SURFACE = [
    "Call",
    "CheckError",
    "Clock",
    "CloseError",
    "Context",
    "CyclicDependencyError",
    "DeadlineError",
    "DefinitionError",
    "Environment",
    "EnvironmentClosedError",
    "Event",
    "EventKind",
    "HttpPrelude",
    "InsideLoopError",
    "Invocation",
    "Lazy",
    "Observer",
    "Reading",
    "RefreshError",
    "Resource",
    "ResourceError",
    "ResourceStatistics",
    "ScopeError",
    "StartError",
    "State",
    "Statistics",
    "SystemClock",
    "TeardownError",
    "TimeLimitError",
    "UnknownDependencyError",
    "UsageError",
    "WarmHandler",
    "WarmkitError",
    "WrongLoopError",
    "YieldError",
    "after_response",
    "concurrency",
    "gap",
    "identity",
    "resource",
    "warm_handler",
]


def test_the_surface_is_what_the_reference_says():
    assert sorted(warmkit.__all__) == sorted(SURFACE)
    assert all(hasattr(warmkit, name) for name in SURFACE)


@pytest.mark.parametrize("module", [warmkit, warmkit.resources, warmkit.testing, warmkit.local])
def test_every_public_name_and_method_says_what_it_does(module):
    silent = []
    for name in module.__all__:
        thing = getattr(module, name)
        documents_itself = inspect.isclass(thing) or inspect.isroutine(thing)
        if documents_itself and not inspect.getdoc(thing):
            silent.append(name)
        if inspect.isclass(thing):
            silent += [
                f"{name}.{method}"
                for method, member in vars(thing).items()
                if not method.startswith("_")
                and inspect.isfunction(member)
                and not inspect.getdoc(member)
            ]
    assert silent == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        warmkit.nothing  # noqa: B018


def test_every_error_can_be_caught_as_one_of_ours():
    errors = [
        thing
        for name in SURFACE
        if inspect.isclass(thing := getattr(warmkit, name)) and issubclass(thing, BaseException)
    ]
    assert len(errors) > 10
    assert [error for error in errors if not issubclass(error, warmkit.WarmkitError)] == []
