"""Who holds which slots: a lease for each user, and a group for what is leased together again and again.

A group is why the warm path does not grow with the number of resources: it is one user of all its slots,
as long as nothing happens to any of them. It judges nothing: that is for `live`.
"""

from collections.abc import Mapping
from typing import Any

from warmkit.clock import Reading
from warmkit.recipe import Resource
from warmkit.slot import Slot

AnyResource = Resource[Any]


class Group:
    """Slots that are warm and that one handler uses together.

    It stands on its slots as one user of each, in use or idle, until it is dissolved; only then, or when
    somebody asks, are its uses written down in them.

    Args:
        slots: The slots; each counts the group as a user already.
        used: When they were used: now.

    Attributes:
        probes: What is asked before each use: the recipe's `alive`, with the value.
        trusted_for: The longest gap in seconds after which all of them are reused.
        used: When it was last used; any of its slots may have been used later, by others.
        users: Leases that hold it.
        dissolved: Nobody can lease it any more.
        arguments: What its user makes of the values, kept as long as they are together.
    """

    __slots__ = (
        "_reuses",
        "arguments",
        "dissolved",
        "probes",
        "slots",
        "trusted_for",
        "used",
        "users",
    )

    def __init__(self, slots: Mapping[AnyResource, Slot], used: Reading) -> None:
        self.slots = slots
        self.probes = [
            (slot.probe, slot.value) for slot in slots.values() if slot.probe is not None
        ]
        self.trusted_for = min((slot.trusted_for for slot in slots.values()), default=float("inf"))
        self.used = used
        self.users = 0
        self.dissolved = False
        self.arguments: dict[str, Any] | None = None
        self._reuses = 0

    def hold(self, now: Reading) -> None:
        """Counts one more lease."""
        self.users += 1
        self.used = now
        self._reuses += 1

    def release(self, now: Reading) -> None:
        """Counts one lease less; the last one of a dissolved group lets go of the slots."""
        self.users -= 1
        self.used = now
        if self.dissolved:
            self.note()
            if not self.users:
                self._let_go()

    def note(self) -> None:
        """Writes its uses down in its slots."""
        for slot in self.slots.values():
            slot.counters.reuses += self._reuses
            if slot.used.monotonic < self.used.monotonic:
                slot.used = self.used
        self._reuses = 0

    def dissolve(self) -> None:
        """Ends it; its slots are let go when the last lease is."""
        self.dissolved = True
        self.note()
        if not self.users:
            self._let_go()

    def _let_go(self) -> None:
        for slot in self.slots.values():
            slot.leave()


class Lease:
    """What one user holds until it lets go.

    Args:
        owner: Whose slots it holds.
        number: The invocation's number; None outside of invocations.
        within: The lease whose time bounds this one's waiting.

    Attributes:
        group: The group held, which counts as one.
        slots: The slot held of each other resource, counted once.
        over: It was let go; nothing can be added any more.
    """

    over = False
    group: Group | None = None
    _within: "Lease | None" = None

    def __init__(
        self, owner: object, number: int | None = None, within: "Lease | None" = None
    ) -> None:
        self.owner = owner
        self.number = number
        self.slots: dict[AnyResource, Slot] = {}
        self._within = within

    def seconds_left(self) -> float | None:
        """Returns how long it may wait for resources; None: for as long as they take."""
        return None if self._within is None else self._within.seconds_left()

    def slot_of(self, resource: AnyResource) -> Slot | None:
        """Returns the slot that it holds of a resource, if it holds one."""
        slot = self.slots.get(resource)
        return slot if slot is not None or self.group is None else self.group.slots.get(resource)

    def release(self, now: Reading) -> None:
        """Lets go of everything that it holds. Never waits."""
        group = self.group
        if group is not None:
            self.group = None
            group.release(now)
        if self.slots:
            for slot in self.slots.values():
                slot.release(now)
            self.slots.clear()
        self.over = True
