"""The recipe of an asyncpg pool that outlives freezes, restarts and outages.

Two rules make it up. No timer decides anything: after a freeze, timers fire late and all at once, so asyncpg's own
are off, and age is compared on use. And no statement is sent that the handler did not write, unless
something speaks against the connection.
"""

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast, get_args

from warmkit import DefinitionError, Resource, concurrency, resource
from warmkit.resources._dsn import Target, read_target, secrets
from warmkit.resources.errors import DsnError, PostgresConnectError, needing

if TYPE_CHECKING:
    from typing import Literal

    import asyncpg

    from warmkit.resources._pooled_connection import PooledConnection, ResetMode

    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
