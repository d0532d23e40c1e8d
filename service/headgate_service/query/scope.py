"""Which events a statement reads."""

from dataclasses import dataclass

from headgate_service.query.binder import Binder
from headgate_service.query.condition import AllOf
from headgate_service.query.period import Period
from headgate_service.query.predicate import predicate
from headgate_service.query.query import Query


@dataclass(frozen=True, slots=True)
class Scope:
    """The events of one project in a table, as a query narrows them."""

    table: str
    project_id: str
    query: Query

    def source(self, binder: Binder, period: Period) -> str:
        """`FROM` and `WHERE`."""
        parts = self.common(binder, period)
        if self.query.event is not None:
            parts.insert(1, f"event = {binder.text(self.query.event)}")
        return f"FROM {self.table} WHERE {' AND '.join(parts)}"

    def common(self, binder: Binder, period: Period) -> list[str]:
        """The conditions that hold for every type of query."""
        parts = [
            f"project_id = {binder.text(self.project_id)}",
            f"ts >= {moment(period.start, binder)}",
            f"ts < {moment(period.end, binder)}",
        ]
        if not self.query.include_test:
            parts.append("NOT test")
        if self.query.condition != AllOf(()):
            parts.append(predicate(self.query.condition, binder))
        return parts


def moment(ms: int, binder: Binder) -> str:
    return f"fromUnixTimestamp64Milli({binder.whole(ms)}, 'UTC')"
