"""QueryService over gRPC."""

import json
import uuid
from typing import Any

import grpc
import orjson
from headgate.v1.query_service_pb2 import (
    GetEventSchemaRequest,
    GetEventSchemaResponse,
    QueryRequest,
    QueryResponse,
)
from headgate.v1.query_service_pb2_grpc import QueryServiceServicer

from headgate_service.api.callers import Callers
from headgate_service.api.rpc_status import answered
from headgate_service.errors import InvalidArgument, StoreDown, invalid
from headgate_service.model.key import ANALYTICS_READ
from headgate_service.model.principal import Role
from headgate_service.query.csv_text import csv_text
from headgate_service.query.queries import Asker, Queries
from headgate_service.query.query import project_of

MAX_BYTES = 1024 * 1024
DEFAULT_DAYS, MAX_DAYS = 30, 366

_Context = grpc.aio.ServicerContext[Any, Any]


class QueryServicer(QueryServiceServicer):
    """Lets callers in and has their queries answered. Without `queries` there is no store to ask."""

    def __init__(self, callers: Callers, queries: Queries | None) -> None:
        self._callers = callers
        self._queries = queries

    @answered
    async def Query(self, request: QueryRequest, context: _Context) -> QueryResponse:
        author = await self._callers.author(context)
        asked = _read(request.request_json)
        # Who may not know of the project learns nothing of what else may be wrong with the query.
        project = await self._callers.admit(author, project_of(asked), Role.VIEWER, ANALYTICS_READ)
        queries = self._store()
        request_id = author.origin.request_id or uuid.uuid4().hex
        answer = await queries.answer(asked, Asker(project.id, project.slug, project.time_zone, request_id))
        if request.csv:
            # orjson would read integers of more than 64 bits as floats.
            return QueryResponse(csv=csv_text(answer.type, json.loads(answer.results)))
        return QueryResponse(answer_json=answer.json())

    @answered
    async def GetEventSchema(self, request: GetEventSchemaRequest, context: _Context) -> GetEventSchemaResponse:
        author = await self._callers.author(context)
        project = await self._callers.admit(author, request.project, Role.VIEWER, ANALYTICS_READ)
        if not 0 <= request.days <= MAX_DAYS:
            raise InvalidArgument("days", f"must be 1 to {MAX_DAYS}")
        schema = await self._store().event_schema(project.id, request.days or DEFAULT_DAYS, request.event or None)
        return GetEventSchemaResponse(schema_json=schema)

    def _store(self) -> Queries:
        if self._queries is None:
            raise StoreDown("there is no store to ask: events are not kept for queries here")
        return self._queries


def _read(body: bytes) -> object:
    if len(body) > MAX_BYTES:
        raise invalid("", f"the query is more than {MAX_BYTES} bytes")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid("", f"not valid JSON: {error}") from None
