"""WK1xx: what the user's modules hold that a loop or a freeze makes useless."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from warmkit.local.doctor.finding import Found, Severity
from warmkit.local.doctor.rule import rule
from warmkit.local.doctor.rules.known import (
    ASYNC_CLIENTS,
    LOOP_OBJECTS,
    LOOP_PARTS,
    SYNC_CLIENTS,
    asyncio_name,
    class_name,
    client_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warmkit.local.doctor.held import Held
    from warmkit.local.doctor.subject import Subject

_OTHER_LOOP = (
    "an import runs outside of the loop that serves the calls: the first call that uses it fails, or the "
    "second, with 'attached to a different loop' or 'Event loop is closed'"
)


@rule(
    "WK101",
    Severity.WARNING,
    "an object of asyncio made at import",
    happens="it belongs to the loop that first waits on it; under any other one (asyncio.run for each call, "
    "another test) waiting raises 'is bound to a different event loop'",
    write="make it in the resource, or in the function, that uses it: @resource def lock(): return asyncio.Lock()",
)
def asyncio_objects(subject: Subject) -> Iterator[Found]:
    """See locks, queues, futures and loops in globals, class attributes, defaults and closures."""
    for held in subject.held:
        if name := asyncio_name(held.value, LOOP_OBJECTS):
            yield Found(held.place, f"{held.path} is an {name} made at import")
        elif name := asyncio_name(held.value, LOOP_PARTS):
            what = f"{held.path} is an {name} made at import"
            yield Found(held.place, what, Severity.ERROR, _OTHER_LOOP)


@rule(
    "WK102",
    Severity.ERROR,
    "an async client made at import",
    happens=_OTHER_LOOP + "; nothing closes it, and its sockets do not survive a freeze",
    write="",
)
def async_clients(subject: Subject) -> Iterator[Found]:
    """See clients that belong to one event loop."""
    for held in subject.held:
        if client := client_in(held.value, ASYNC_CLIENTS):
            what = f"{held.path} is a {class_name(held.value)} made at import"
            yield Found(held.place, what, write=client.write)


@rule(
    "WK103",
    Severity.WARNING,
    "a connection or client in a global",
    happens="in the freeze the other side drops its idle sockets, and nothing here notices: the first use after "
    "it fails, or hangs until its timeout; nothing closes it at the end",
    write="",
)
def sync_clients(subject: Subject) -> Iterator[Found]:
    """See connections, pools and clients with sockets, after the import and after the calls."""
    for held in _held_at_last(subject):
        if client_in(held.value, ASYNC_CLIENTS) or _is_closed(held.value):
            continue
        if client := client_in(held.value, SYNC_CLIENTS):
            yield Found(
                held.place,
                f"{held.path} holds a {class_name(held.value)}",
                client.severity,
                _TRIES_AGAIN if client.severity is Severity.NOTE else "",
                client.write,
            )


_TRIES_AGAIN = (
    "as AWS advises; it tries again by itself after a dead socket, at the cost of that attempt; making it "
    "takes a part of every cold start, used or not, and nothing closes it"
)


def _is_closed(value: object) -> bool:
    return type(value) is socket.socket and value.fileno() < 0


def _held_at_last(subject: Subject) -> Iterator[Held]:
    seen = {id(held.value) for held in subject.held}
    yield from subject.held
    yield from (held for held in subject.calls.held if id(held.value) not in seen)
