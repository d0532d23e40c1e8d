"""/api/projects/{project}/usage and /audit: what was sent to a project, and who changed what in it."""

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import project_service_pb2 as wire
from headgate.v1.project_service_pb2_grpc import ProjectServiceStub

from headgate_gateway.app_api.fields import Field, FieldInvalid, Kind
from headgate_gateway.app_api.operation import Asked, Operation, rate, rfc3339
from headgate_gateway.app_api.projects import PROJECT

STEPS = {"hour": wire.LEDGER_STEP_HOUR, "day": wire.LEDGER_STEP_DAY}


def usage_json(usage: wire.GetUsageResponse) -> dict[str, Any]:
    """Usage. `remaining` and `limit` are null without a monthly limit, `rateLimit` without a rate limit."""
    this_month, *_ = usage.months
    limit = usage.project.monthly_limit if usage.project.HasField("monthly_limit") else None
    return {
        "project": usage.project.slug,
        "month": this_month.month,
        "used": this_month.used,
        "limit": limit,
        "remaining": None if limit is None else max(limit - this_month.used, 0),
        "rateLimit": rate(usage.rate_limit) if usage.HasField("rate_limit") else None,
        "months": [{"month": month.month, "used": month.used} for month in usage.months],
        "timezone": usage.project.time_zone,
        "ledger": [
            {
                "start": rfc3339(row.start_time),
                "received": row.received,
                "accepted": row.accepted,
                "duplicate": row.duplicate,
                "dropped": dict(sorted(row.dropped.items())),
                "refused": dict(sorted(row.refused.items())),
            }
            for row in usage.rows
        ],
    }


def audit_json(entry: wire.AuditEntry) -> dict[str, Any]:
    """One change."""
    return {
        "id": entry.id,
        "at": rfc3339(entry.time),
        "who": entry.actor,
        "by": entry.credential,
        "what": entry.action,
        "target": entry.target,
        "from": entry.address,
    }


def _usage(asked: Asked) -> wire.GetUsageRequest:
    request = wire.GetUsageRequest(project=asked.path["project"])
    if (step := asked.query.get("by", "day")) not in STEPS:
        raise FieldInvalid("by", f"must be one of {', '.join(STEPS)}")
    request.step = STEPS[step]
    for name, moment in (("from", request.from_time), ("to", request.to_time)):
        if name in asked.query:
            moment.CopyFrom(_timestamp(asked.query[name]))
    return request


def _timestamp(moment: Any) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


GET_USAGE = Operation(
    "GET",
    f"{PROJECT}/usage",
    "What was sent to a project, against its limits",
    lambda channel: ProjectServiceStub(channel).GetUsage,
    _usage,
    usage_json,
    query=(
        Field(
            "by",
            description="The length of the ledger's rows: hour, or day of the project's time zone (default).",
            rules={"enum": list(STEPS)},
        ),
        Field("from", Kind.TIME, description="Rows that begin then or later. Default: 30 days ago, by hour 48 hours."),
        Field("to", Kind.TIME, description="Rows that begin before. Default: now."),
    ),
)
_PAGE = (
    Field("limit", Kind.INTEGER, description="At most so many, default 100.", bounds=(1, 1000)),
    Field("before", Kind.INTEGER, description="Only entries before this id, to continue a list."),
)
LIST_AUDIT = Operation(
    "GET",
    f"{PROJECT}/audit",
    "Who changed what in a project, the latest first",
    lambda channel: ProjectServiceStub(channel).ListAudit,
    lambda asked: wire.ListAuditRequest(
        project=asked.path["project"], limit=asked.query.get("limit", 0), before=asked.query.get("before", 0)
    ),
    lambda found: {"audit": [audit_json(entry) for entry in found.entries]},
    query=_PAGE,
)
LIST_OWN_AUDIT = Operation(
    "GET",
    "/api/audit",
    "What the caller did, the latest first; for the operator, what anybody did",
    lambda channel: ProjectServiceStub(channel).ListAudit,
    lambda asked: wire.ListAuditRequest(limit=asked.query.get("limit", 0), before=asked.query.get("before", 0)),
    lambda found: {"audit": [audit_json(entry) for entry in found.entries]},
    query=_PAGE,
)

OPERATIONS = (GET_USAGE, LIST_AUDIT, LIST_OWN_AUDIT)
