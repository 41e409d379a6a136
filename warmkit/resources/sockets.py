"""Asks the kernel whether idle connections are still quiet. Knows no protocol, and never waits."""

import select
from collections.abc import Iterable
from typing import Any, Protocol


class Transport(Protocol):
    """What is asked of a transport: asyncio's and uvloop's, plain or TLS."""

    def get_extra_info(self, name: str) -> Any:
        """Returns what it knows under that name."""
        ...


def is_quiet(transport: Transport) -> bool:
    """Whether nothing has arrived on an idle connection: no data, no end, no error.

    On a connection that awaits no answer, whatever arrives means a farewell or the end. What the kernel has
    received and the loop has not read yet shows here, so it is right however short the gap.
    """
    return are_quiet([transport])


def are_quiet(transports: Iterable[Transport]) -> bool:
    """Whether all of them are, with one question to the kernel."""
    if not hasattr(select, "poll"):
        return True  # nothing can be asked (Windows): the check is what remains
    poll = select.poll()
    for transport in transports:
        sock = transport.get_extra_info("socket")
        if sock is None:
            continue
        descriptor: int = sock.fileno()
        if descriptor < 0:
            return False  # closed
        poll.register(descriptor, select.POLLIN)  # errors and hang-ups are always reported
    return not poll.poll(0)
