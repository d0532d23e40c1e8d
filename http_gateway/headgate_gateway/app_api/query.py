"""/api/query: questions about a project's events."""

from collections.abc import Mapping
from typing import Any

import orjson
from falcon.asgi import Request, Response
from headgate.v1 import query_service_pb2 as wire
from headgate.v1.query_service_pb2_grpc import QueryServiceStub

from headgate_gateway.app_api.caller import Failure, caller_of
from headgate_gateway.app_api.fields import Field, FieldInvalid, Kind
from headgate_gateway.app_api.operation import Operation
from headgate_gateway.app_api.projects import PROJECT
from headgate_gateway.app_api.resource import OperationsResource, Plumbing
from headgate_gateway.http.headers import request_headers
from headgate_gateway.http.problem import problem

CSV = "text/csv"
_ANY = ("*/*", "application/*", "application/json", "text/json")


QUERY = Operation(
    "POST",
    "/api/query",
    "Ask about a project's events: a timeseries, a breakdown, a metric, a funnel, retention or paths",
    lambda channel: QueryServiceStub(channel).Query,
    lambda asked: wire.QueryRequest(request_json=orjson.dumps(dict(asked.body))),
    lambda answer: orjson.loads(answer.answer_json),
    # The service takes 10 s at the most, and then says so.
    seconds=15.0,
    whole_body=True,
    by_key=True,
)


GET_SCHEMA = Operation(
    "GET",
    f"{PROJECT}/schema",
    "The events of a project and their properties: types, examples, how many, when last",
    lambda channel: QueryServiceStub(channel).GetEventSchema,
    lambda asked: wire.GetEventSchemaRequest(
        project=asked.path["project"], days=asked.query.get("days", 0), event=asked.query.get("event", "")
    ),
    lambda answer: orjson.loads(answer.schema_json),
    query=(
        Field("days", Kind.INTEGER, description="Of how many days, up to now. Default: 30.", bounds=(1, 366)),
        Field("event", description="Of events of this name only."),
    ),
    by_key=True,
)
OPERATIONS = (GET_SCHEMA,)


class QueryResource(OperationsResource):
    """A query changes nothing, so that it may come from anywhere; it is answered as CSV where that is preferred."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__([QUERY], plumbing)

    def operations(self) -> dict[str, Any]:
        described = super().operations()
        post = described["post"]
        post["requestBody"]["content"]["application/json"] = {"schema": _QUERY, "example": _EXAMPLE}
        post["responses"]["200"]["content"] = {"application/json": {"schema": _ANSWER}, CSV: {"schema": {}}}
        post["responses"]["408"] = post["responses"]["400"]
        del post["responses"]["409"]
        return described

    async def _do(
        self, operation: Operation, req: Request, resp: Response, path: Mapping[str, str], request_id: str
    ) -> None:
        headers = request_headers(req.scope)
        for name in req.params:
            raise FieldInvalid(name, "is not known here: the query is the body")
        body = await self._body(operation, headers, req)
        as_csv = _prefers_csv(headers.get("accept", ""))
        request = wire.QueryRequest(request_json=orjson.dumps(dict(body)), csv=as_csv)
        caller = caller_of(headers, by_key=operation.by_key)
        metadata = caller.metadata() + self._plumbing.origin_of(req, headers, request_id)
        answer = await self._calls[operation.method](request, metadata=metadata, timeout=operation.seconds)
        resp.set_header("Vary", "Accept")
        if as_csv:
            resp.content_type = f"{CSV}; charset=utf-8"
            resp.data = answer.csv.encode()
        else:
            resp.data = answer.answer_json

    def _worded(self, failure: Failure, request_id: str) -> bytes:
        fields = [detail["field"] for detail in failure.details if "field" in detail]
        return problem(
            failure.code, failure.message, request_id, failure.details or None, fields[0] if fields else None
        )


def _prefers_csv(accept: str) -> bool:
    """Whether CSV is asked for before JSON: by its weight, of equal ones by its place."""
    weighed = []
    for place, part in enumerate(accept.lower().split(",")):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        try:
            weighed.append((-float(weight), place, kind))
        except ValueError:
            continue
    wanted = [kind for weight, _, kind in sorted(weighed) if weight < 0 and kind in (CSV, *_ANY)]
    return bool(wanted) and wanted[0] == CSV


_TEXT = {"type": "string"}
_FILTER = {"description": "{key, op, value}, a list of filters (all), {and: [..]}, {or: [..]} or {not: ..}"}
_RANGE = {
    "type": "object",
    "required": ["start", "end"],
    "properties": {"start": _TEXT, "end": _TEXT, "timezone": _TEXT},
}
_STEP = {"type": "object", "required": ["event"], "properties": {"event": _TEXT, "filter": _FILTER, "name": _TEXT}}
_QUERY = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type", "projectId", "dateRange"],
    "properties": {
        "type": {"enum": ["timeseries", "breakdown", "metric", "funnel", "retention", "paths"]},
        "projectId": {**_TEXT, "description": "The project's slug or id."},
        "event": {**_TEXT, "description": "An event's name, or * for any. Required except for a funnel."},
        "dateRange": _RANGE,
        "interval": {"enum": ["minute", "hour", "day", "week", "month"]},
        "metric": {
            "oneOf": [
                {"enum": ["count", "unique_users", "sessions", "events_per_user"]},
                {"type": "object", "required": ["agg", "property"], "properties": {"agg": _TEXT, "property": _TEXT}},
            ]
        },
        "filter": _FILTER,
        "breakdown": {
            "oneOf": [
                _TEXT,
                {
                    "type": "object",
                    "required": ["key"],
                    "properties": {
                        "key": _TEXT,
                        "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10},
                        "other": {"type": "boolean", "default": True},
                    },
                },
            ]
        },
        "compare": {"oneOf": [{"enum": ["previous_period", "previous_year"]}, _RANGE]},
        "steps": {"type": "array", "minItems": 2, "maxItems": 10, "items": _STEP},
        "window": {
            "type": "object",
            "required": ["value", "unit"],
            "properties": {
                "value": {"type": "integer", "minimum": 1},
                "unit": {"enum": ["second", "minute", "hour", "day", "week"]},
            },
        },
        "order": {"enum": ["ordered", "strict", "any"]},
        "start": _STEP,
        "end": _STEP,
        "depth": {"type": "integer", "minimum": 2, "maximum": 10, "default": 5},
        "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10},
        "returnEvent": {**_TEXT, "description": "Of a retention; default: event."},
        "periods": {"type": "integer", "minimum": 1, "maximum": 52, "default": 7},
        "countBy": {"enum": ["user", "session"]},
        "includeTest": {"type": "boolean", "default": False},
        "refresh": {"type": "boolean", "default": False},
    },
}
_EXAMPLE = {
    "type": "timeseries",
    "projectId": "my-project-slug",
    "event": "$pageview",
    "dateRange": {"start": "2026-02-01T00:00:00.000Z", "end": "2026-02-03T23:59:59.999Z"},
    "metric": "count",
    "filter": {"key": "$pathname", "op": "eq", "value": "/pricing"},
}
_ANSWER = {
    "type": "object",
    "required": ["type", "results", "meta"],
    "properties": {
        "type": _TEXT,
        "results": {"type": "array", "items": {"type": "object"}},
        "meta": {
            "type": "object",
            "required": ["query", "timezone", "from", "to", "cached", "elapsedMs", "truncated", "sampled", "requestId"],
        },
    },
}
