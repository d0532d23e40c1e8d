"""Which events of a batch the store may hold already.

A project's events reach the store in the order in which they were received, but for those that come again: after a
crash, by a replay, by a retry of a dead letter. So an event that is newer than all that is there is new, and only the
others need to be looked for by their ids.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headgate.v1 import event_pb2

from headgate_sinks.store.rows import milliseconds

# Shorter than a forwarder's lease of a shard: nobody else writes a project's events while this is remembered.
REMEMBERED_SECONDS = 5.0
# A project that was not seen for long takes no memory.
_MAX_PROJECTS = 20_000

EventName = tuple[str, str, int]
"""Project, event id and receive time in milliseconds: a client's id may come back as another event after a day."""


@dataclass(frozen=True, slots=True)
class Named:
    """An event and what names it."""

    name: EventName
    event: event_pb2.Event


def named(events: Iterable[event_pb2.Event]) -> list[Named]:
    """Each with its name."""
    return [
        Named((event.project_id, event.event_id, milliseconds(event.receive_time)), event) for event in events
    ]  # fmt: skip


def newest(events: Iterable[Named]) -> dict[str, int]:
    """By project, when the last of them was received."""
    found: dict[str, int] = {}
    for one in events:
        project, _, received = one.name
        if received > found.get(project, -1 << 63):
            found[project] = received
    return found


class Newest:
    """What is known of the newest event that the store holds of each project. Times are in seconds of one clock."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, float]] = {}

    def unknown(self, projects: Iterable[str], now: float) -> list[str]:
        """Those that the store must be asked about."""
        return [one for one in projects if self._known.get(one, (0, -1.0))[1] < now]

    def learn(self, found: Mapping[str, int], now: float) -> None:
        """`found` was so at `now`."""
        if len(self._known) > _MAX_PROJECTS:
            self._known = {name: known for name, known in self._known.items() if known[1] >= now}
        for project, received in found.items():
            before = self._known.get(project, (received, 0.0))[0]
            self._known[project] = (max(received, before), now + REMEMBERED_SECONDS)

    def forget(self) -> None:
        """Nothing is certain any more."""
        self._known.clear()

    def suspects(self, events: Sequence[Named]) -> list[Named]:
        """Those that may be there."""
        # As long as nothing is known, everything may be.
        known = {project: received for project, (received, _) in self._known.items()}
        return [one for one in events if one.name[2] <= known.get(one.name[0], 1 << 63)]


def fresh(events: Sequence[Named], there: Iterable[EventName]) -> list[event_pb2.Event]:
    """Those that are not there, each once."""
    seen, kept = set(there), []
    for one in events:
        if one.name not in seen:
            seen.add(one.name)
            kept.append(one.event)
    return kept
