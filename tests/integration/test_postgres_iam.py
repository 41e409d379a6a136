"""IAM authentication: the token is botocore's, made anew for each connection, sent over TLS only, and never shown."""

from __future__ import annotations

import datetime as dt
import socket
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiobotocore.session
import asyncpg
import botocore.auth
import botocore.session
import pytest
from aiobotocore.credentials import AioRefreshableCredentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from warmkit import DefinitionError, Environment, StartError, WarmHandler, warm_handler
from warmkit.resources import IamTokenError, PostgresConnectError, postgres_pool
from warmkit.resources.aws.rds_token import rds_token

if TYPE_CHECKING:
    from conftest import Really, StartPooler
    from pooler import Pooler

    from warmkit.testing import EventRecorder

KEY, SECRET, SESSION_TOKEN = "AKIDEXAMPLE", "s3cr3t/k3y+example", "s3ss10n+t0ken/=="
NOON = dt.datetime(2026, 11, 20, 12, 0, 0, tzinfo=dt.UTC)
HOST = "orders.cluster-c0ffee.eu-west-1.rds.amazonaws.com"


class Clock:
    """AWS's signers see its time."""

    now = NOON

    def __call__(self, *, remove_tzinfo: bool = True) -> dt.datetime:
        return self.now.replace(tzinfo=None) if remove_tzinfo else self.now


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Credentials as Lambda gives them, and nothing else of AWS's."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "PGSSLMODE", "PGPASSWORD"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION_TOKEN)
    return monkeypatch


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(botocore.auth, "get_current_datetime", clock)
    return clock


async def token(host: str = HOST, port: str = "5432", user: str = "app") -> str:
    session = aiobotocore.session.get_session()
    return await rds_token(session, host=host, port=port, user=user)


# -- the token


@pytest.mark.usefixtures("noon")
@pytest.mark.parametrize("user", ["app", "a b/c+d@e:f&g=ü"])
@pytest.mark.parametrize("with_session_token", [True, False])
def test_it_is_what_botocores_rds_client_makes(
    really: Really, aws: pytest.MonkeyPatch, user: str, *, with_session_token: bool
) -> None:
    if not with_session_token:
        aws.delenv("AWS_SESSION_TOKEN")
    client = botocore.session.Session().create_client("rds", region_name="eu-west-1")
    expected = client.generate_db_auth_token(HOST, 5433, user)
    client.close()

    @really
    async def _(_: Environment) -> None:
        assert await token(port="5433", user=user) == expected


def test_nobody_is_asked_over_the_network(really: Really, aws: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("a connection was opened")

    aws.setattr(socket.socket, "connect", connect)
    aws.setattr(socket, "getaddrinfo", connect)

    @really
    async def _(environment: Environment) -> None:
        from warmkit.resources.aws.session import aws_session

        session = await environment.get(aws_session)
        assert await rds_token(session, host=HOST, port="5432", user="app")


@pytest.mark.parametrize(
    ("host", "variables", "region"),
    [
        (HOST, {"AWS_REGION": "us-east-1"}, "eu-west-1"),
        ("p.proxy-c0ffee.us-gov-west-1.rds.amazonaws.com", {}, "us-gov-west-1"),
        ("db.c0ffee.cn-north-1.rds.amazonaws.com.cn", {}, "cn-north-1"),
        (HOST.upper(), {}, "eu-west-1"),
        (
            "db.example.com",
            {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-2"},
            "us-east-1",
        ),
        ("db.example.com", {"AWS_DEFAULT_REGION": "us-east-2"}, "us-east-2"),
    ],
)
def test_the_region_is_the_databases(
    really: Really,
    aws: pytest.MonkeyPatch,
    host: str,
    variables: dict[str, str],
    region: str,
) -> None:
    for name, value in variables.items():
        aws.setenv(name, value)

    @really
    async def _(_: Environment) -> None:
        assert f"%2F{region}%2Frds-db%2F" in await token(host)


def test_credentials_that_are_about_to_expire_are_renewed_first(really: Really) -> None:
    """Those of a function with SnapStart are of this kind."""

    def found(key: str, minutes: int) -> dict[str, str]:
        expiry = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
        return {
            "access_key": key,
            "secret_key": "s",
            "token": "t",
            "expiry_time": expiry.isoformat(),
        }

    async def renew() -> dict[str, str]:
        return found("AKIDRENEWED", 60)

    class Session:
        async def get_credentials(self) -> Any:
            return AioRefreshableCredentials.create_from_metadata(
                found("AKIDOLD", 1), refresh_using=renew, method="test"
            )

    @really
    async def _(_: Environment) -> None:
        made = await rds_token(Session(), host=HOST, port="5432", user="app")
        assert "X-Amz-Credential=AKIDRENEWED%2F" in made


# -- what is missing


async def failure_of(*arguments: Any, **options: Any) -> BaseException:
    @warm_handler(db=postgres_pool(*arguments, iam=True, **options))
    async def handler(event: object, db: asyncpg.Pool) -> None: ...

    with pytest.raises(StartError) as caught:
        await handler.invoke({})
    assert caught.value.__cause__ is not None
    return caught.value.__cause__


@pytest.mark.parametrize(
    ("dsn", "missing", "said"),
    [
        (
            f"postgresql://app@{HOST}/x",
            ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
            "no AWS credentials",
        ),
        ("postgresql://app@db.example.com/x", [], "the region of db.example.com is not known"),
        (f"postgresql://{HOST}/x", [], "no user is given"),
        (f"postgresql://app@{HOST},other/x", [], "one host and port"),
        ("postgresql://app@/x?host=/run/pg", [], "one host and port"),
        (f"postgresql://app@{HOST}/x?sslmode=prefer", [], "TLS is not required"),
        (f"postgresql://app@{HOST}/x?sslmode=disable", [], "TLS is not required"),
        (f"postgresql://app:pw@{HOST}/x", [], "a password is given"),
        (f"postgresql://app@{HOST}/x?password=pw", [], "a password is given"),
    ],
)
def test_what_is_missing_is_named(
    really: Really, aws: pytest.MonkeyPatch, dsn: str, missing: list[str], said: str
) -> None:
    aws.delenv("PGUSER", raising=False)
    for name in missing:
        aws.delenv(name)

    @really
    async def _(_: Environment) -> None:
        error = await failure_of(lambda: dsn)
        assert isinstance(error, IamTokenError)
        assert said in str(error)
        assert SECRET not in str(error)


def test_pgsslmode_counts_as_well(really: Really, aws: pytest.MonkeyPatch) -> None:
    aws.setenv("PGSSLMODE", "allow")

    @really
    async def _(_: Environment) -> None:
        error = await failure_of(f"postgresql://app@{HOST}/x")
        assert isinstance(error, IamTokenError)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"dsn": f"postgresql://app:pw@{HOST}/x"}, "a password is given"),
        ({"password": "pw"}, "a password is given"),
        ({"passfile": "pw"}, "a password is given"),
        ({"ssl": False}, "over TLS only"),
        ({"ssl": "prefer"}, "over TLS only"),
        ({"service": "orders"}, "signed for a host"),
        ({"iam": "yes"}, "iam must be True or False, not str"),
    ],
)
def test_what_cannot_work_is_refused_at_import(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        postgres_pool(**{"iam": True, **arguments})


# -- a server that takes tokens


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A directory with a key and a certificate for 127.0.0.1 that signs itself, readable for all."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(private)
    (tmp_path / "cert.pem").write_bytes(signed.public_bytes(pem))
    return tmp_path


@pytest.fixture
def gate(start_pooler: StartPooler, certificate: Path, aws: pytest.MonkeyPatch) -> Pooler:
    """A server that asks for a password in the clear and takes TLS, as RDS does for IAM users: pgbouncer."""
    aws.setenv("AWS_REGION", "eu-west-1")
    return start_pooler(
        {"app": "nobody has this one"},
        files={name: (certificate / name).read_text() for name in ("key.pem", "cert.pem")},
        client_tls_sslmode="require",
        client_tls_key_file="{home}/key.pem",
        client_tls_cert_file="{home}/cert.pem",
    )


def answering(gate: Pooler, **options: Any) -> WarmHandler[Any]:
    dsn = f"postgresql://app@127.0.0.1:{gate.port}/postgres"

    @warm_handler(db=postgres_pool(dsn, iam=True, pooler=True, **options))
    async def handler(event: object, db: asyncpg.Pool) -> Any:
        return await db.fetchval("SELECT 42")

    return handler


async def let_in(gate: Pooler) -> str:
    """From now on only the token of this moment opens the gate."""
    now = await token("127.0.0.1", str(gate.port))
    gate.write_users({"app": now})
    gate.restart()
    return now


def test_each_connection_gets_the_token_of_its_moment(
    gate: Pooler, noon: Clock, really: Really
) -> None:
    handler = answering(gate)

    @really
    async def _(_: Environment) -> None:
        first = await let_in(gate)
        assert await handler.invoke({}) == 42
        noon.now = NOON + dt.timedelta(minutes=16)
        second = await let_in(gate)
        assert second != first
        assert await handler.invoke({}) == 42


def test_keys_that_were_renewed_sign_the_next_one(
    gate: Pooler, noon: Clock, really: Really
) -> None:
    """The session renews credentials by itself; nothing of them is kept beside it."""
    handler = answering(gate)

    @really
    async def _(environment: Environment) -> None:
        from warmkit.resources.aws.session import aws_session

        await let_in(gate)
        await handler.invoke({})
        session = await environment.get(aws_session)
        session.set_credentials("AKIDOTHER", "another", "third")
        gate.write_users(
            {"app": await rds_token(session, host="127.0.0.1", port=str(gate.port), user="app")}
        )
        gate.restart()
        assert await handler.invoke({}) == 42


@pytest.mark.usefixtures("noon")
def test_no_token_and_no_key_is_shown_anywhere(
    gate: Pooler,
    really: Really,
    recorder: EventRecorder,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG", logger="warmkit")
    caplog.set_level("DEBUG", logger="asyncio")
    handler = answering(gate)

    @really
    async def _(environment: Environment) -> None:
        with pytest.raises(StartError) as caught:
            await handler.invoke({})
        error = caught.value.__cause__
        assert isinstance(error, PostgresConnectError)
        secrets = [SECRET, SESSION_TOKEN, "X-Amz-Signature"]
        signature = await let_in(gate)
        await handler.invoke({})
        pool = next(
            slot.value for slot in environment.live.alive() if isinstance(slot.value, asyncpg.Pool)
        )
        async with pool.acquire() as connection:
            parameters = repr(connection._con._params)
        printed = capsys.readouterr()
        shown = [
            *traceback.format_exception(caught.value),
            repr((error, error.args, vars(error), recorder.events, environment.statistics)),
            repr((pool, handler, parameters, vars(pool))),
            caplog.text,
            printed.out,
            printed.err,
        ]
        for secret in [*secrets, signature]:
            assert secret not in "".join(shown)


def test_a_gate_without_tls_gets_no_token(
    start_pooler: StartPooler, aws: pytest.MonkeyPatch, really: Really
) -> None:
    aws.setenv("AWS_REGION", "eu-west-1")
    gate = start_pooler()

    @really
    async def _(_: Environment) -> None:
        error = await failure_of(f"postgresql://app@127.0.0.1:{gate.port}/postgres")
        assert isinstance(error, PostgresConnectError)
        assert "rejected SSL upgrade" in error.reason
