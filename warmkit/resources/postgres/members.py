"""The open connections of one pool, and which of them may be handed out again. Never waits."""

from typing import TYPE_CHECKING

from warmkit.resources.sockets import are_quiet

if TYPE_CHECKING:
    from warmkit.resources.postgres.connection import PooledConnection


class Members:
    """Keeps the connections of one pool, for its life.

    The gap that the freshness decision knows is the pool's. A connection can have been idle for longer: in a pool
    of several, or where the handler does not query on every invocation. So each has its own clock.

    Args:
        max_idle: Seconds after which an idle connection is not trusted.

    Attributes:
        opening: How many connections are being opened.
    """

    def __init__(self, max_idle: float) -> None:
        self._max_idle = max_idle
        self._all: list[PooledConnection] = []
        self.opening = 0

    def add(self, connection: "PooledConnection") -> None:
        """Adds an open connection; it is dropped from here when it is closed."""
        self._all.append(connection)

    def open(self) -> "list[PooledConnection]":
        """Returns the connections that nobody has closed."""
        self._all = [item for item in self._all if not item.is_closed()]
        return self._all

    def are_sound(self) -> bool:
        """Whether there is a connection, and nothing speaks against any that lies in the pool."""
        members = self.open()
        if not members:
            return bool(self.opening)
        return self._speaks_nothing_against([item for item in members if item.is_idle])

    def _speaks_nothing_against(self, idle: "list[PooledConnection]") -> bool:
        return all(item.idle_for <= self._max_idle for item in idle) and are_quiet(
            item.transport for item in idle
        )

    def need_proof(self) -> bool:
        """Whether one of them is idle, or there are none: else those who use them are proving them."""
        members = self.open()
        if not members:
            return not self.opening
        return any(item.is_idle for item in members)

    def drop_doubtful(self) -> None:
        """Closes what speaks against itself; the pool opens another when it needs one."""
        for item in self.open():
            if item.is_idle and not self._speaks_nothing_against([item]):
                item.terminate()

    def drop_idle(self) -> None:
        """Closes every connection that lies in the pool."""
        for item in self.open():
            if item.is_idle:
                item.terminate()  # a farewell could wait for ever on a flow that the network has dropped
