"""Remembers what an environment tells its observers."""

from warmkit import Event, EventKind


class EventRecorder:
    """An observer that keeps every event, in order.

    ```python
    recorder = EventRecorder()
    async with Environment(observers=[recorder]) as environment:
        await environment.get(db)
    assert recorder.story == ["started db", "retired db", "closed db"]
    ```

    Attributes:
        events: All that happened so far.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Keeps the event."""
        self.events.append(event)

    @property
    def story(self) -> list[str]:
        """The events in words: `"started db"`, `"check failed db"`, `"invocation 2 finished"`."""
        return [_in_words(event) for event in self.events]

    def of(self, *kinds: EventKind) -> list[Event]:
        """Returns the events of these kinds.

        Args:
            *kinds: Which.
        """
        return [event for event in self.events if event.kind in kinds]

    def clear(self) -> None:
        """Forgets everything, so that the next assertion begins with what comes next."""
        self.events.clear()


def _in_words(event: Event) -> str:
    if event.resource is not None:
        return f"{event.kind} {event.resource}"
    return event.kind.replace("invocation", f"invocation {event.invocation}")
