"""What the execution environment says of itself."""

import pytest

from warmkit import Environment, UsageError, concurrency, identity, resource
from warmkit.hosts.platform import starts_in_init


@pytest.mark.parametrize(("variable", "number"), [(None, 1), ("1", 1), ("16", 16)])
def test_how_many_invocations_may_come_at_once(variable, number, monkeypatch):
    monkeypatch.delenv("AWS_LAMBDA_MAX_CONCURRENCY", raising=False)
    if variable is not None:
        monkeypatch.setenv("AWS_LAMBDA_MAX_CONCURRENCY", variable)
    assert concurrency() == number


@pytest.mark.parametrize("variable", ["0", "-1", "many", "", "1.5", "²"])
def test_what_is_no_number_of_invocations_is_an_error(variable, monkeypatch):
    monkeypatch.setenv("AWS_LAMBDA_MAX_CONCURRENCY", variable)
    with pytest.raises(UsageError) as raised:
        concurrency()
    assert str(raised.value) == (
        f"AWS_LAMBDA_MAX_CONCURRENCY must be a whole number from 1, not {variable!r}."
    )


@pytest.mark.parametrize(
    ("start", "kind", "early"),
    [
        ("lazy", "provisioned-concurrency", False),
        ("eager", "on-demand", True),
        ("eager", None, True),
        ("auto", None, False),
        ("auto", "on-demand", False),
        ("auto", "provisioned-concurrency", True),
        ("auto", "lambda-managed-instances", True),
        ("auto", "snap-start", True),
    ],
)
def test_what_starts_in_the_init_phase(start, kind, early, monkeypatch):
    monkeypatch.delenv("AWS_LAMBDA_INITIALIZATION_TYPE", raising=False)
    if kind is not None:
        monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", kind)
    assert starts_in_init(resource(start=start)(lambda: 0)) is early


def test_who_runs_here(monkeypatch, inside):
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders")

    @inside
    async def _(environment):
        assert identity() == ("orders", environment.id)
        monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME")
        assert identity() == ("", environment.id)


def test_a_resource_is_told_its_own_environment(inside):
    @inside
    async def _(environment):
        who = resource(identity)
        other = Environment()
        assert (await environment.get(who)).environment_id == environment.id != other.id


def test_nobody_runs_outside_of_a_loop():
    with pytest.raises(RuntimeError):
        identity()
