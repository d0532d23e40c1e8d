"""The projects of which a sink rejects too much: their events wait, and those of others go on."""

from collections.abc import Container, Iterable, Sequence

from headgate_service.delivery.log_range import LogRange


class ProjectHolds(Container[str]):
    """Of one sink in one shard: each project until a moment by the loop's clock."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def __contains__(self, project_id: object) -> bool:
        return project_id in self._until

    @property
    def first_end(self) -> float | None:
        """When the first of them ends; None: there is none."""
        return min(self._until.values(), default=None)

    def add(self, project_ids: Iterable[str], until: float) -> None:
        self._until.update(dict.fromkeys(project_ids, until))

    def release(self, now: float) -> list[str]:
        """The projects whose time is over; they are held no more."""
        over = [project_id for project_id, until in self._until.items() if until <= now]
        for project_id in over:
            del self._until[project_id]
        return over

    def holds(self, log_ranges: Sequence[LogRange]) -> bool:
        """Whether a batch waits."""
        return any(log_range.project_id in self._until for log_range in log_ranges)

    def divided(self, log_ranges: Sequence[LogRange]) -> list[list[LogRange]]:
        """What of a batch goes on, if anything does, and then what waits, by project."""
        going = [one for one in log_ranges if one.project_id not in self._until]
        waiting = [[one] for one in log_ranges if one.project_id in self._until]
        return [going, *waiting] if going else waiting
