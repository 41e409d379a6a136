"""What a connection is called, and what pools and transactions refuse: no server is needed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmkit import DefinitionError, resource
from warmkit.resources import postgres_pool, postgres_transaction
from warmkit.resources.postgres.dsn import has_password
from warmkit.resources.postgres.settings import application_name, startup_settings

SENTINEL = "s3ntinel"
DSN = f"postgresql://ada:{SENTINEL}@db/app"

# -- names


def test_a_name_tells_function_and_environment() -> None:
    assert application_name("orders", "1a2b3c4d") == "orders/1a2b3c4d"
    assert application_name("", "1a2b3c4d") == "warmkit/1a2b3c4d"
    assert application_name("orders", "") == "orders"
    assert application_name("a b\tc\nd\x7fé€", "1") == "a?b?c?d???/1"


@given(function=st.text(max_size=100), environment_id=st.sampled_from(["", "1a2b3c4d"]))
def test_a_name_is_always_one_that_postgresql_keeps(function: str, environment_id: str) -> None:
    name = application_name(function, environment_id)
    assert 0 < len(name.encode()) <= 63
    assert name.isascii()
    assert name.isprintable()
    assert " " not in name
    assert name.endswith(environment_id)


@pytest.mark.parametrize(
    ("dsn", "given_settings", "variable", "expected"),
    [
        (None, None, None, {"application_name": "ours"}),
        ("postgresql://db/app", {}, "", {"application_name": "ours"}),
        ("postgresql://db/app", None, "theirs", {"application_name": "theirs"}),
        ("postgresql://db/app?application_name=theirs", None, "other", {}),
        (None, {"application_name": "theirs"}, "other", {"application_name": "theirs"}),
        (None, {"jit": "off"}, None, {"application_name": "ours", "jit": "off"}),
        (
            "postgresql://db/app?application_name=dsn",
            {"application_name": "theirs"},
            None,
            {"application_name": "theirs"},
        ),
    ],
)
def test_the_users_own_name_goes_first(
    monkeypatch: pytest.MonkeyPatch,
    dsn: str | None,
    given_settings: dict[str, str] | None,
    variable: str | None,
    expected: dict[str, str],
) -> None:
    monkeypatch.delenv("PGAPPNAME", raising=False)
    if variable is not None:
        monkeypatch.setenv("PGAPPNAME", variable)
    options = {} if given_settings is None else {"server_settings": given_settings}
    assert startup_settings(dsn, options, name="ours", pooler=False) == expected


def test_a_pooler_is_told_the_encoding_in_the_servers_words() -> None:
    settings = startup_settings(None, {}, name="ours", pooler=True)
    assert settings == {"application_name": "ours", "client_encoding": "UTF8"}
    own = {"server_settings": {"client_encoding": "LATIN1"}}
    assert startup_settings(None, own, name="x", pooler=True)["client_encoding"] == "LATIN1"


@pytest.mark.parametrize(
    ("dsn", "has"),
    [
        (None, False),
        ("postgresql://ada@db/app", False),
        ("postgresql://ada:@db/app", False),
        ("postgresql://ada:pw@db/app", True),
        ("postgresql://db/app?password=pw", True),
        ("postgresql://db/app?passfile=pw", True),
        ("postgresql://db/app?sslpassword=pw", False),
    ],
)
def test_a_password_is_found(dsn: str | None, *, has: bool) -> None:
    assert has_password(dsn) is has


# -- refused at definition


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"server_settings": f"application_name={SENTINEL}"},
            "server_settings must be a dict of str by str, or None",
        ),
        (
            {"server_settings": {"work_mem": 1}},
            "server_settings must be a dict of str by str, or None",
        ),
        ({"pooler": "yes"}, "pooler must be True or False, not str"),
        ({"pooler": 1}, "pooler must be True or False, not int"),
        ({"iam": None}, "iam must be True or False, not NoneType"),
        (
            {"pooler": True, "reset": "always"},
            (
                "behind a pooler a reset meets another session than the one that was changed.\n"
                "  Write it without reset='always'."
            ),
        ),
        (
            {"pooler": True, "statement_cache_size": 10},
            "behind a pooler no statement can be kept.\n  Write it without statement_cache_size.",
        ),
        (
            {"dsn": DSN, "iam": True},
            (
                "iam=True: a password is given, and IAM makes one for each connection.\n"
                "  Write: postgresql://user@host:port/database"
            ),
        ),
        ({"poolr": True}, "postgres_pool takes no poolr.\n  Did you mean 'pooler'?"),
        ({"iam_": True}, "postgres_pool takes no iam_.\n  Did you mean 'iam'?"),
    ],
)
def test_a_pool_refuses_what_cannot_work(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        postgres_pool(**arguments)
    assert str(caught.value) == message
    assert SENTINEL not in message


@pytest.mark.parametrize(
    "arguments",
    [
        {"pooler": True, "reset": "never"},
        {"server_settings": None},
        {"server_settings": {"work_mem": "1MB"}},
        {"pooler": True, "statement_cache_size": 0},
        {"iam": True, "dsn": "postgresql://ada@db/app", "ssl": "verify-full"},
        {"iam": True, "dsn": "postgresql://ada@db/app", "ssl": True},
        {"iam": True, "pooler": True},
    ],
)
def test_a_pool_takes_what_goes_together(arguments: dict[str, Any]) -> None:
    assert postgres_pool(**arguments)


def test_what_cannot_be_read_is_left_to_the_start_and_not_shown() -> None:
    assert SENTINEL not in repr(postgres_pool(f"postgresql://a:[{SENTINEL}@db", iam=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"pool": DSN},
            (
                "postgres_transaction takes a pool's resource, not str.\n"
                "  Write: db = postgres_pool(), then postgres_transaction(db)."
            ),
        ),
        (
            {"isolation": SENTINEL},
            (
                "isolation must be 'read_uncommitted' or 'read_committed' or 'repeatable_read'"
                " or 'serializable', or None"
            ),
        ),
        ({"readonly": "yes"}, "readonly must be True or False, not str"),
        ({"deferrable": 1}, "deferrable must be True or False, not int"),
        (
            {"deferrable": True, "isolation": "serializable"},
            (
                "deferrable has an effect on serializable transactions that only read.\n"
                "  Write: isolation='serializable', readonly=True, deferrable=True."
            ),
        ),
        ({"close_timeout": -1}, "close_timeout must be a number of seconds, 0 or more, not -1"),
        ({"start_timeout": "1"}, "start_timeout must be a number of seconds, 0 or more, not a str"),
    ],
)
def test_a_transaction_refuses_what_cannot_work(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        postgres_transaction(**{"pool": resource(object), **arguments})
    assert str(caught.value) == message


def test_a_misspelt_option_of_a_transaction_is_pythons_error() -> None:
    with pytest.raises(TypeError, match="isolaton"):
        postgres_transaction(resource(object), isolaton="serializable")  # type: ignore[call-arg]
