"""Which classes hold connections or belong to an event loop, and what to write instead of a global.

Known by name, so that nothing has to be imported.
"""

from __future__ import annotations

from typing import NamedTuple

from warmkit.local.doctor.finding import Severity
from warmkit.local.doctor.held import kinds_of


class Client(NamedTuple):
    """A class of a client.

    Attributes:
        package: The module in which it is defined, or a package around that.
        names: Of the class, or of one that it inherits.
        write: What to write instead.
        severity: How much it matters.
    """

    package: str
    names: tuple[str, ...]
    write: str
    severity: Severity


_ASYNC = (
    "@resource on an async generator that makes the client, yields it and closes it; its `check` or "
    "`max_gap` says when it is stale"
)
_SYNC = (
    "@resource on a generator that makes it, yields it and closes it, with `alive` or `check`: "
    "then one that died is replaced before the handler runs"
)
_POSTGRES = "postgres_pool() from warmkit.resources, or " + _SYNC
_AWS = "aws_client('service') or s3_client() from warmkit.resources"


LOOP_OBJECTS = (
    "Lock",
    "Event",
    "Condition",
    "Semaphore",
    "BoundedSemaphore",
    "Barrier",
    "Queue",
)
"""Of asyncio: bound to the loop that first waits on them."""

LOOP_PARTS = (
    "AbstractEventLoop",
    "Future",
    "Task",
    "TaskGroup",
    "Runner",
    "StreamReader",
    "StreamWriter",
    "BaseTransport",
)
"""Of asyncio: bound to a loop from the beginning."""

ASYNC_CLIENTS = tuple(
    Client(package, names, write, Severity.ERROR)
    for package, names, write in (
        ("aiobotocore", ("AioBaseClient",), _AWS),
        (
            "asyncpg",
            ("Pool", "Connection", "PoolConnectionProxy"),
            "postgres_pool() from warmkit.resources",
        ),
        ("aiohttp", ("ClientSession", "BaseConnector"), _ASYNC),
        ("httpx", ("AsyncClient",), _ASYNC),
        ("redis.asyncio", ("Redis", "RedisCluster", "ConnectionPool"), _ASYNC),
        ("psycopg", ("AsyncConnection",), "postgres_pool() from warmkit.resources, or " + _ASYNC),
        (
            "psycopg_pool",
            ("AsyncConnectionPool",),
            "postgres_pool() from warmkit.resources, or " + _ASYNC,
        ),
        ("sqlalchemy.ext.asyncio", ("AsyncEngine",), _ASYNC),
        ("motor", ("AgnosticClient",), _ASYNC),
        ("pymongo", ("AsyncMongoClient",), _ASYNC),
        ("aiomysql", ("Pool", "Connection"), _ASYNC),
        ("openai", ("AsyncOpenAI",), _ASYNC),
        ("anthropic", ("AsyncAnthropic",), _ASYNC),
        ("grpc.aio", ("Channel",), _ASYNC),
        ("elasticsearch", ("AsyncElasticsearch",), _ASYNC),
    )
)
"""Clients of which each belongs to one event loop."""

_CONNECTION = Severity.ERROR
_POOL = Severity.WARNING
_TRIES_AGAIN = Severity.NOTE

SYNC_CLIENTS = tuple(
    Client(package, names, write, severity)
    for package, names, write, severity in (
        ("botocore", ("BaseClient",), _AWS, _TRIES_AGAIN),
        ("boto3", ("ServiceResource",), _AWS, _TRIES_AGAIN),
        ("psycopg", ("Connection",), _POSTGRES, _CONNECTION),
        ("psycopg2", ("connection",), _POSTGRES, _CONNECTION),
        ("pymysql", ("Connection",), _SYNC, _CONNECTION),
        ("mysql", ("MySQLConnectionAbstract",), _SYNC, _CONNECTION),
        ("http.client", ("HTTPConnection",), _SYNC, _CONNECTION),
        ("smtplib", ("SMTP",), _SYNC, _CONNECTION),
        ("socket", ("socket",), _SYNC, _CONNECTION),
        ("psycopg_pool", ("ConnectionPool",), _POSTGRES, _POOL),
        ("psycopg2", ("AbstractConnectionPool",), _POSTGRES, _POOL),
        ("redis", ("Redis", "RedisCluster", "ConnectionPool"), _SYNC, _POOL),
        ("requests", ("Session",), _SYNC, _POOL),
        ("httpx", ("Client",), _SYNC, _POOL),
        ("urllib3", ("PoolManager", "ConnectionPool"), _SYNC, _POOL),
        ("sqlalchemy", ("Engine",), _SYNC, _POOL),
        ("pymongo", ("MongoClient",), _SYNC, _POOL),
    )
)
"""Clients whose sockets do not survive a freeze."""


def client_in(value: object, clients: tuple[Client, ...]) -> Client | None:
    """Return what is known of a value's class, if something is."""
    kinds = kinds_of(value)
    return next((client for client in clients if any(_is(client, *kind) for kind in kinds)), None)


def asyncio_name(value: object, names: tuple[str, ...]) -> str:
    """Return the name of a value's class as asyncio calls it; empty: it is none of these names."""
    for module, name in kinds_of(value):
        if name in names and module.partition(".")[0].removeprefix("_") == "asyncio":
            return f"asyncio.{name}"
    return ""


def class_name(value: object) -> str:
    """Return the name of a value's class as its package calls it."""
    kind = type(value)
    return f"{str(kind.__module__).partition('.')[0]}.{kind.__name__}"


def _is(client: Client, module: str, name: str) -> bool:
    return name in client.names and f"{module}.".startswith(f"{client.package}.")
