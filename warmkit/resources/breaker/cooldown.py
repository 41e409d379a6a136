"""How long a circuit still stays open, by whichever clock is right. Knows neither states nor storages."""

from datetime import UTC, datetime

from warmkit import Clock, gap


class Cooldown:
    """Measures the time since a circuit opened, here or in another process.

    Two measures, and the larger counts. The gap since this process learnt of it is right after a freeze, and when the
    wall clock was set back. The wall time that a shared storage keeps is all that other processes have of it: with it
    they need not wait anew for a circuit that opened long before they looked.

    Args:
        clock: Where the time comes from.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = clock.read()
        self._opened_at: datetime | None = None

    def now(self) -> datetime:
        """Returns the wall time, as a storage keeps it."""
        return datetime.fromtimestamp(self._clock.read().wall, UTC)

    def begin(self, opened_at: datetime | None) -> None:
        """The circuit has opened, or this process has just learnt that it is open.

        Args:
            opened_at: What the storage says of it.
        """
        self._since = self._clock.read()
        self._opened_at = opened_at

    def left(self, seconds: float, opened_at: datetime | None) -> float:
        """Returns what is left of so many seconds since the circuit opened; 0.0: nothing.

        Args:
            seconds: How long it stays open.
            opened_at: What the storage says now: if not what it said, somebody else opened it again.
        """
        if opened_at != self._opened_at:
            self.begin(opened_at)
        now = self._clock.read()
        elapsed = gap(self._since, now)
        if opened_at is not None:
            elapsed = max(elapsed, now.wall - _unix_seconds(opened_at))
        return max(0.0, seconds - elapsed)


def _unix_seconds(moment: datetime) -> float:
    """Returns Unix seconds; a storage that keeps no time zone means UTC, as pybreaker's of old did."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
