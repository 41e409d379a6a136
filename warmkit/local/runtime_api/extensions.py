"""The Extensions API as rules: who may register for what, and which event is next.

It knows no HTTP and starts no process.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from warmkit.local.runtime_api.values import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST = 10
"""Extensions that one function may have, internal and external together."""

INVOKE, SHUTDOWN = "INVOKE", "SHUTDOWN"


class State(Enum):
    """What an extension is doing, in Lambda's words."""

    STARTED = "Started"
    REGISTERED = "Registered"
    READY = "Ready"
    RUNNING = "Running"
    INIT_ERROR = "InitError"
    EXIT_ERROR = "ExitError"


@dataclass(slots=True, eq=False)
class Extension:
    """One extension.

    Attributes:
        name: Its own.
        external: Whether it is a process of its own, started by the platform.
        events: What it wants to hear of.
    """

    name: str
    external: bool
    events: frozenset[str] = frozenset()
    state: State = State.STARTED
    identifier: str = field(default_factory=lambda: str(uuid.uuid4()))
    failure: str = ""
    _event: asyncio.Future[dict[str, Any]] | None = None
    _due: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def tell(self, event: dict[str, Any]) -> None:
        """Hand out an event, or keep it until the extension asks."""
        if self._event is not None and not self._event.done():
            self._event.set_result(event)
        else:
            self._due.append(event)

    async def wait(self) -> dict[str, Any]:
        """Return the next event."""
        if not self._due:
            self._event = asyncio.get_running_loop().create_future()
            try:
                return await self._event
            finally:
                self._event = None
        return self._due.pop(0)


class Extensions:
    """All extensions of one environment, from its init phase to its end.

    Args:
        external: The names of those that the platform starts.
        about: What a registered extension is told of the function.
        account: The account's id, told to those that ask for it.
        concurrency: Of the function; with more than one, no extension hears of invocations.
        changed: Called when one registered, asked for an event, or failed.
    """

    def __init__(
        self,
        external: Iterable[str],
        *,
        about: dict[str, str],
        account: str,
        concurrency: int,
        changed: Callable[[], None],
    ) -> None:
        self._about = about
        self._account = account
        self._many = concurrency > 1
        self._changed = changed
        self._all = {name: Extension(name, external=True) for name in external}
        self._open = True

    @property
    def external(self) -> list[Extension]:
        """Those that are processes of their own."""
        return [extension for extension in self._all.values() if extension.external]

    @property
    def internal(self) -> list[Extension]:
        """Those within the runtime's process."""
        return [extension for extension in self._all.values() if not extension.external]

    @property
    def all_registered(self) -> bool:
        """Whether every external one has registered."""
        return all(extension.state is not State.STARTED for extension in self._all.values())

    @property
    def all_ready(self) -> bool:
        """Whether nobody has anything left to do: each asks for an event."""
        return all(extension.state is State.READY for extension in self._all.values())

    @property
    def failed(self) -> Extension | None:
        """One that said that it cannot go on."""
        broken = {State.INIT_ERROR, State.EXIT_ERROR}
        return next((one for one in self._all.values() if one.state in broken), None)

    def close_registration(self) -> None:
        """Take no more internal ones, because the runtime has started."""
        self._open = False

    def tell_invoke(self, event: dict[str, Any]) -> None:
        """Tell of an invocation whoever wants to hear of it."""
        self._tell(INVOKE, event)

    def tell_shutdown(self, event: dict[str, Any]) -> list[Extension]:
        """Tell of the end; return whom."""
        return self._tell(SHUTDOWN, event)

    def _tell(self, kind: str, event: dict[str, Any]) -> list[Extension]:
        told = [extension for extension in self._all.values() if kind in extension.events]
        for extension in told:
            extension.state = State.RUNNING
            extension.tell({"eventType": kind, **event})
        return told

    # -- the extensions' side

    def register(self, name: str, body: bytes, features: str) -> tuple[str, dict[str, str]]:
        """Register one; return its identifier and what it is told.

        Raises:
            RefusedError: The rules do not allow it.
        """
        if not name:
            raise _refused("Extension.InvalidExtensionName", "Empty extension name")
        events = _events_in(body)
        known = self._all.get(name)
        external = known is not None and known.external
        self._check_events(events, external=external)
        extension = known if known is not None and external else self._new(name)
        if extension.state is not State.STARTED:
            raise _wrong_state(extension, "Registered")
        extension.events = frozenset(events)
        extension.state = State.REGISTERED
        self._changed()
        account = {"accountId": self._account} if "accountId" in _words(features) else {}
        return extension.identifier, self._about | account

    def _check_events(self, events: list[str], *, external: bool) -> None:
        allowed = {INVOKE, SHUTDOWN} if external else {INVOKE}
        if self._many:
            allowed = allowed - {INVOKE}
        for event in events:
            if event not in allowed:
                internal = event == SHUTDOWN and not external
                why = (
                    "ShutdownEventNotSupportedForInternalExtension" if internal else "not supported"
                )
                raise _refused("Extension.InvalidEventType", f"{event}: {why}")

    def _new(self, name: str) -> Extension:
        if not self._open:
            raise _refused("Extension.RegistrationClosed", "Extension registration closed already")
        if name in self._all:
            message = "Extension with this name already registered"
            raise _refused("Extension.InvalidExtensionState", message)
        if len(self._all) >= MOST:
            raise _refused("Extension.TooManyExtensions", f"Extension limit ({MOST}) reached")
        extension = self._all[name] = Extension(name, external=False)
        return extension

    async def next(self, identifier: str) -> tuple[str, dict[str, Any]]:
        """Wait for an event; return an id for it as well, "" for the last one.

        Raises:
            RefusedError: The rules do not allow it.
        """
        extension = self._known(identifier)
        if extension.state not in {State.REGISTERED, State.READY, State.RUNNING}:
            raise _wrong_state(extension, "Ready")
        extension.state = State.READY
        self._changed()
        event = await extension.wait()
        return str(uuid.uuid4()) if event["eventType"] == INVOKE else "", event

    def fail(self, identifier: str, kind: str, *, in_init: bool) -> None:
        """Take note that one cannot go on.

        Raises:
            RefusedError: The rules do not allow it.
        """
        wanted = State.INIT_ERROR if in_init else State.EXIT_ERROR
        extension = self._known(identifier, missing_kind=not kind)
        if in_init and extension.state not in {State.REGISTERED, State.INIT_ERROR}:
            raise _wrong_state(extension, wanted.value)
        if not in_init and extension.state is State.STARTED:
            raise _wrong_state(extension, wanted.value)
        extension.state = wanted
        extension.failure = kind
        self._changed()

    def _known(self, identifier: str, *, missing_kind: bool = False) -> Extension:
        if not identifier:
            message = "Missing Lambda-Extension-Identifier header"
            raise _refused("Extension.MissingExtensionIdentifier", message)
        try:
            wanted = str(uuid.UUID(identifier))
        except ValueError:
            message = "Invalid Lambda-Extension-Identifier"
            raise _refused("Extension.InvalidExtensionIdentifier", message) from None
        if missing_kind:
            message = "Lambda-Extension-Function-Error-Type not found"
            raise _refused("Extension.MissingHeader", message)
        for extension in self._all.values():
            if extension.identifier == wanted:
                return extension
        raise _refused("Extension.UnknownExtensionIdentifier", f"Unknown extension {wanted}")


def _events_in(body: bytes) -> list[str]:
    try:
        said: Any = json.loads(body)
        events: Any = said.get("events") or []
        deprecated: Any = said.get("configurationKeys")
    except (ValueError, AttributeError) as error:
        raise _refused("InvalidRequestFormat", str(error)) from None
    if not isinstance(events, list) or not all(isinstance(event, str) for event in events):  # pyright: ignore[reportUnknownVariableType]
        raise _refused("InvalidRequestFormat", 'Expected {"events": ["INVOKE", ...]}')
    if deprecated:
        message = "configurationKeys are deprecated; use environment variables instead"
        raise _refused("InvalidRequestFormat", message)
    return cast("list[str]", events)


def _words(features: str) -> list[str]:
    return [word.strip() for word in features.split(",")]


def _refused(kind: str, message: str) -> RefusedError:
    return RefusedError(403, kind, message)


def _wrong_state(extension: Extension, wanted: str) -> RefusedError:
    message = (
        f"State transition from {extension.state.value} to {wanted} failed for extension "
        f"{extension.name}. Error: State transition is not allowed"
    )
    return _refused("Extension.InvalidExtensionState", message)
