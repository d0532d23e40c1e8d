"""What an answer says of itself."""

from typing import Any

from headgate_service.query.interval import bucket_of
from headgate_service.query.normal_form import normal_form
from headgate_service.query.query import Query


def meta_of(query: Query, project: str, now_ms: int) -> dict[str, Any]:
    """The part that depends on the query and the moment alone."""
    clock, period = query.clock, query.period
    meta: dict[str, Any] = {"query": normal_form(query, project), "timezone": clock.name}
    if query.buckets:
        meta["interval"] = query.buckets.interval
    meta |= {"from": clock.text(period.start), "to": clock.text(period.end)}
    incomplete = incomplete_from(query, now_ms)
    if incomplete is not None:
        meta["incompleteFrom"] = clock.text(incomplete)
    return meta


def touches_now(query: Query, now_ms: int) -> bool:
    """Whether events that happen now, or later, may change the answer."""
    window = query.funnel.window.ms if query.funnel else 0
    ends = [period.end + window for period in (query.period, query.compared) if period]
    return max(ends) > now_ms


def incomplete_from(query: Query, now_ms: int) -> int | None:
    """From when the period is not over: the start of the bucket that holds the present, of a funnel the first entry
    whose window is still open."""
    period = query.period
    window = query.funnel.window.ms if query.funnel else 0
    if period.end + window <= now_ms:
        return None
    since = max(period.start, now_ms - window)
    return max(period.start, bucket_of(since, query.buckets.starts)) if query.buckets else since
