"""What the services of projects answer with, as protobuf."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1 import project_service_pb2 as wire

from headgate_service.directory.project import Project
from headgate_service.errors import InvalidArgument
from headgate_service.log.reader import timestamp
from headgate_service.model.key import WIRE_KINDS, FreshKey
from headgate_service.model.principal import WIRE_ROLES
from headgate_service.model.rate_limit import RateLimit
from headgate_service.projects.catalogue import Listed
from headgate_service.projects.cleanup import Leftovers
from headgate_service.projects.keyring import HeldKey
from headgate_service.projects.members import Member
from headgate_service.projects.projects import Ended
from headgate_service.projects.usage import Counts, Usage, by_day, by_hour


def wire_project(project: Project) -> admin.Project:
    """What everybody who may see a project sees of it."""
    return admin.Project(
        id=project.id,
        slug=project.slug,
        name=project.name,
        time_zone=project.time_zone,
        monthly_limit=project.monthly_limit,
        rate_limit=wire_rate_limit(project.rate_limit) if project.rate_limit else None,
    )


def wire_new_key(key: FreshKey, projects: Sequence[str]) -> admin.NewKey:
    """A key that was just made, with its text and the slugs of the projects that it opens."""
    return admin.NewKey(
        id=key.id,
        kind=WIRE_KINDS[key.kind],
        key=key.text,
        scopes=key.scopes,
        all_projects=key.all_projects,
        projects=projects,
    )


def wire_rate_limit(limit: RateLimit) -> admin.RateLimit:
    """A rate limit."""
    return admin.RateLimit(requests=limit.requests, window=Duration(seconds=limit.window_ms // 1000))


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


def listed_project(listed: Listed) -> admin.Project:
    """A project as one who asks for it sees it."""
    made = wire_project(listed.project)
    made.organisation = listed.organisation
    made.create_time.CopyFrom(timestamp(listed.created_at))
    if listed.role is not None:
        made.role = WIRE_ROLES[listed.role]
    return made


def held_key(key: HeldKey, projects: Sequence[str]) -> wire.Key:
    """A key without the key, with the slugs of the projects that it opens."""
    return wire.Key(
        id=key.id,
        kind=WIRE_KINDS[key.kind],
        scopes=key.scopes,
        create_time=timestamp(key.created_at),
        revoke_time=None if key.revoked_at is None else timestamp(key.revoked_at),
        all_projects=key.opens_all,
        projects=projects if key.revoked_at is None else (),
    )


def member(one: Member) -> wire.Member:
    """A member."""
    return wire.Member(
        user_id=one.user_id, email=one.email, role=WIRE_ROLES[one.role], create_time=timestamp(one.since)
    )


def deletion_report(
    project: Project, ended: Ended, remains: Leftovers, stored_events_deleted: bool
) -> wire.DeleteProjectResponse:
    """What ended with a project."""
    return wire.DeleteProjectResponse(
        project=wire_project(project),
        keys=ended.keys,
        members=ended.members,
        deploys=ended.deploys,
        log_events=remains.log_events,
        log_bytes=remains.log_bytes,
        dead_letters=remains.dead_letters,
        stored_events_deleted=stored_events_deleted,
        sinks=[
            wire.DeleteProjectResponse.Sink(name=name, pending=pending) for name, pending in remains.pending.items()
        ],
    )
