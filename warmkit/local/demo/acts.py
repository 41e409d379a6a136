"""The demo's two acts: the invocations of one version, and what happens to it on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from warmkit import Event, EventKind, TeardownError, WarmHandler
from warmkit.local.demo.figures import Figures, Measured, measure
from warmkit.local.demo.story import connections, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from warmkit.local.demo.interrupts import Interrupts
    from warmkit.local.demo.orders import Order
    from warmkit.local.demo.screen import Screen
    from warmkit.local.demo.servers import Servers


class Act:
    """One version, invoked once for each order.

    Attributes:
        handler: What is invoked.
        figures: What was measured; complete after `play`.
    """

    figures: Figures

    def __init__(
        self,
        handler: Callable[..., Any],
        servers: Servers,
        orders: list[Order],
        screen: Screen,
        interrupts: Interrupts,
    ) -> None:
        """Invoke nothing yet."""
        self.handler: Any = handler
        self.servers = servers
        self.orders = orders
        self.screen = screen
        self.interrupts = interrupts

    def play(self) -> None:
        """Invoke the handler for all orders.

        Raises:
            Interrupted: A signal came.
        """
        opened = self.servers.connections_opened()
        self.servers.postgres.forget_statements()
        measured = [self._invoke(number, order) for number, order in enumerate(self.orders, 1)]
        opened = self.servers.connections_opened() - opened
        self.figures = Figures(measured, opened, self.servers.postgres.statements())

    def _invoke(self, number: int, order: Order) -> Measured:
        opened = self.servers.connections_opened()
        self.interrupts.obey()
        measured = measure(self.handler, number, order)
        opened = self.servers.connections_opened() - opened
        self.screen.invocation(measured, self._story(opened))
        return measured

    def _story(self, opened: int) -> str:
        return f"{connections(opened)} and a new client of S3, closed again"


class WarmAct(Act):
    """The version with warmkit. In between its connections are ended, and a freeze is simulated.

    Attributes:
        handler: What is invoked.
        ended: How many connections the server ended on the way.
        checked: Whether the database was checked after the freeze.
        close_problem: What went wrong when the environment was closed; empty: nothing.
        left: How many connections were left after that.
    """

    handler: WarmHandler[Any]
    ended = 0
    checked = False
    close_problem = ""
    left = 0

    def play(self) -> None:
        """Invoke the handler for all orders, then close its environment.

        Raises:
            Interrupted: A signal came.
        """
        self._events: list[Event] = []
        self.handler.environment.observe(self._events.append)
        try:
            super().play()
        finally:
            self._close()
        self.left = self.servers.connections_left()

    def _invoke(self, number: int, order: Order) -> Measured:
        self._events.clear()
        third = len(self.orders) // 3
        if number == third + 2:
            self._end_connections()
        freezes = number == 2 * third + 2
        if freezes:
            self._freeze()
        measured = super()._invoke(number, order)
        if freezes:
            self.checked = any(event.kind is EventKind.CHECKED for event in self._events)
        return measured

    def _story(self, opened: int) -> str:
        return tell(self._events, opened=opened)

    def _end_connections(self) -> None:
        self.ended = self.servers.postgres.terminate_backends()
        self.screen.happens(
            f"PostgreSQL ends all connections ({self.ended}), as in a failover. The handler is not told."
        )

    def _freeze(self) -> None:
        self.handler.environment.distrust()
        self.screen.happens(
            "As if Lambda had frozen the function for a minute. This is simulated:"
            " environment.distrust()"
        )

    def _close(self) -> None:
        self._events.clear()
        try:
            self.handler.close()
        except TeardownError as error:
            self.close_problem = "; ".join(str(problem) for problem in error.exceptions)
        self.screen.happens(f"The environment ends: {tell(self._events)}")
