"""A query as JSON that asks the same again, with every default filled in: one question has one form."""

from typing import Any

from headgate_service.query.filter import AllOf, AnyOf, Condition, Leaf, Not
from headgate_service.query.funnel import Step
from headgate_service.query.paths import Paths
from headgate_service.query.query import Query
from headgate_service.query.time import Clock, Moment, Period


def normal_form(query: Query, project: str) -> dict[str, Any]:
    """JSON that asks the same again."""
    clock = query.clock
    form: dict[str, Any] = {"type": query.type, "projectId": project}
    if query.funnel is None and query.paths is None:
        form["event"] = query.event or "*"
    form["dateRange"] = _period(query.period, clock) | {"timezone": clock.name}
    if query.buckets:
        form["interval"] = query.buckets.interval
    if query.retention:
        form |= {
            "returnEvent": query.retention.return_event or "*",
            "interval": query.retention.interval,
            "periods": query.retention.periods,
            "countBy": query.retention.count_by,
        }
    elif query.paths:
        form |= _paths(query.paths, clock)
    elif query.funnel is None:
        key = query.metric.key
        form["metric"] = {"agg": query.metric.name, "property": key.name} if key else query.metric.name
    if query.condition != AllOf(()):
        form["filter"] = _condition(query.condition, clock)
    if query.breakdown:
        chosen = query.breakdown
        form["breakdown"] = {"key": chosen.key.name, "limit": chosen.limit, "other": chosen.other}
    if query.compare is not None:
        form["compare"] = query.compare if isinstance(query.compare, str) else _period(query.compare, clock)
    if query.funnel:
        form |= _funnel(query, clock)
    form["includeTest"] = query.include_test
    return form


def _period(period: Period, clock: Clock) -> dict[str, Any]:
    return {"start": clock.text(period.start), "end": clock.text(period.end)}


def _funnel(query: Query, clock: Clock) -> dict[str, Any]:
    assert query.funnel is not None  # noqa: S101 - the caller looked
    steps = [_step(step, clock) for step in query.funnel.steps]
    window = query.funnel.window
    return {
        "steps": steps,
        "window": {"value": window.value, "unit": window.unit},
        "order": query.funnel.order,
        "countBy": query.funnel.count_by,
    }


def _paths(paths: Paths, clock: Clock) -> dict[str, Any]:
    return {
        "start" if paths.forward else "end": _step(paths.anchor, clock),
        "depth": paths.depth,
        "limit": paths.names,
        "window": {"value": paths.window.value, "unit": paths.window.unit},
        "countBy": paths.count_by,
    }


def _step(step: Step, clock: Clock) -> dict[str, Any]:
    form: dict[str, Any] = {"event": step.event}
    if step.condition != AllOf(()):
        form["filter"] = _condition(step.condition, clock)
    return form | ({"name": step.name} if step.name else {})


def _condition(condition: Condition, clock: Clock) -> dict[str, Any]:
    match condition:
        case AllOf(parts):
            return {"and": [_condition(part, clock) for part in parts]}
        case AnyOf(parts):
            return {"or": [_condition(part, clock) for part in parts]}
        case Not(part):
            return {"not": _condition(part, clock)}
        case Leaf(key, op, None):
            return {"key": key.name, "op": op}
        case Leaf(key, op, tuple() as values):
            return {"key": key.name, "op": op, "value": [_scalar(value, clock) for value in values]}
        case Leaf(key, op, value):
            return {"key": key.name, "op": op, "value": _scalar(value, clock)}


def _scalar(value: Any, clock: Clock) -> Any:
    if isinstance(value, Moment):
        return clock.text(value.ms)
    # Whole numbers of more bits came as floats. Those of 64 stay: two of them are one float, but not one question.
    return float(value) if type(value) is int and not -(2**63) <= value < 2**64 else value
