"""Time that passes when a test says so, and an environment that can freeze.

It knows the three clocks of a `Reading`, and neither loops nor resources.
"""

from warmkit.clock import Reading

EPOCH = 1_700_000_000.0
"""Where the wall clock begins, in Unix seconds: late enough to look like one."""


class VirtualClock:
    """The three clocks of a machine that does not exist; a `warmkit.clock.Clock`.

    They advance together with the time of the `VirtualLoop` that has this clock, or by `advance`. In a `freeze`
    some of them stand still, as in an execution environment between two invocations.

    ```python
    clock = VirtualClock()
    environment = Environment(clock=clock)
    clock.freeze(600)  # ten minutes in which no loop ran
    ```

    Args:
        wall: Where the wall clock begins, in Unix seconds.
    """

    def __init__(self, wall: float = EPOCH) -> None:
        self._reading = Reading(wall, 0.0, 0.0)

    def read(self) -> Reading:
        """Returns the present moment."""
        return self._reading

    @property
    def monotonic(self) -> float:
        """The seconds that the event loop has seen pass."""
        return self._reading.monotonic

    def advance(self, seconds: float) -> None:
        """Lets time pass on all clocks.

        Args:
            seconds: How much.
        """
        self.freeze(seconds, monotonic=True)

    def advance_to(self, monotonic: float) -> None:
        """Lets time pass until the monotonic clock shows this, to the last bit: a timer is due then, not nearly.

        Args:
            monotonic: The time of the event loop, in seconds; a time in the past changes nothing.
        """
        seconds = max(0.0, monotonic - self.monotonic)
        self.advance(seconds)
        self._reading = self._reading._replace(monotonic=max(monotonic, self.monotonic))

    def freeze(
        self, seconds: float, *, monotonic: bool = False, boot: bool = True, wall: bool = True
    ) -> None:
        """Lets time pass outside only: clocks that are not named stand still, and no code runs.

        With `monotonic=True` the loop's timers were due meanwhile: they fire, all at once, on thaw.

        Args:
            seconds: How long the environment is frozen.
            monotonic: Whether the monotonic clock, which is the event loop's, goes on.
            boot: Whether the boot clock goes on.
            wall: Whether the wall clock goes on.
        """
        now = self._reading
        self._reading = Reading(
            now.wall + seconds * wall,
            now.monotonic + seconds * monotonic,
            now.boot + seconds * boot,
        )

    def set_wall(self, wall: float) -> None:
        """Sets the wall clock alone, forward or back, as NTP does.

        Args:
            wall: Unix seconds.
        """
        self._reading = self._reading._replace(wall=wall)
