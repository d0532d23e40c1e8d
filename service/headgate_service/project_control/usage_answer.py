"""What GetUsage answers, out of a project's counters."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import project_service_pb2 as wire

from headgate_service.log.reader import timestamp
from headgate_service.project import Project
from headgate_service.project_control.usage import Counts, Usage, by_day, by_hour
from headgate_service.project_fields import InvalidArgument, RateLimit
from headgate_service.project_wire import wire_project, wire_rate_limit

LONGEST = {wire.LEDGER_STEP_DAY: timedelta(days=731), wire.LEDGER_STEP_HOUR: timedelta(days=31)}
_USUAL = {wire.LEDGER_STEP_DAY: timedelta(days=30), wire.LEDGER_STEP_HOUR: timedelta(hours=48)}


def span(request: wire.GetUsageRequest, now: datetime) -> tuple[datetime, datetime]:
    """From when until before when the ledger is asked for. Raises InvalidArgument."""
    step = request.step or wire.LEDGER_STEP_DAY
    if step not in LONGEST:
        raise InvalidArgument("step", "must be an hour or a day")
    to = _moment("to", request.to_time) if request.HasField("to_time") else now
    begin = _moment("from", request.from_time) if request.HasField("from_time") else to - _USUAL[step]
    if not timedelta(0) <= to - begin <= LONGEST[step]:
        raise InvalidArgument("from", f"must be before `to`, by at most {LONGEST[step].days} days")
    return begin, to


def _moment(field: str, time: Timestamp) -> datetime:
    try:
        moment = time.ToDatetime(UTC)
    except ValueError:
        moment = datetime.min.replace(tzinfo=UTC)
    if not 1970 <= moment.year < 9999:
        raise InvalidArgument(field, "must be of the years 1970 to 9998")
    return moment


def usage_answer(
    project: Project, usage: Usage, request: wire.GetUsageRequest, default_rate: RateLimit | None, now: datetime
) -> wire.GetUsageResponse:
    """`now` is in UTC. Raises InvalidArgument."""
    begin, to = span(request, now)
    if request.step == wire.LEDGER_STEP_HOUR:
        rows = by_hour(usage.hours)
    else:
        rows = by_day(usage.hours, ZoneInfo(project.time_zone))
    rate = project.rate_limit or default_rate
    return wire.GetUsageResponse(
        project=wire_project(project),
        months=_months(usage, now),
        rate_limit=wire_rate_limit(rate) if rate else None,
        rows=[_row(start, counts) for start, counts in rows if begin <= start < to],
    )


def _months(usage: Usage, now: datetime) -> Sequence[wire.GetUsageResponse.Month]:
    months = {f"{now:%Y-%m}": 0, **usage.months}
    # A service's clock may be a little behind that of Redis, which turns the month.
    return [wire.GetUsageResponse.Month(month=month, used=months[month]) for month in sorted(months, reverse=True)]


def _row(start: datetime, counts: Counts) -> wire.GetUsageResponse.Row:
    return wire.GetUsageResponse.Row(
        start_time=timestamp(int(start.timestamp() * 1000)),
        received=counts.received,
        accepted=counts.accepted,
        duplicate=counts.duplicate,
        dropped=counts.dropped,
        refused=counts.refused,
    )
