"""SavedQueryService over gRPC."""

from typing import Any

import grpc
import orjson
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import saved_query_service_pb2 as wire
from headgate.v1.saved_query_service_pb2_grpc import SavedQueryServiceServicer

from headgate_service.api.callers import Callers
from headgate_service.api.rpc_status import answered
from headgate_service.auth.audit import Author
from headgate_service.directory.project import Project
from headgate_service.errors import ProjectUnknown, invalid
from headgate_service.model.key import ANALYTICS_READ
from headgate_service.model.principal import Role
from headgate_service.query.query import project_of
from headgate_service.query.saved_queries import SavedQueries, SavedQuery, unknown

_Context = grpc.aio.ServicerContext[Any, Any]


class SavedQueryServicer(SavedQueryServiceServicer):
    """Members read them and save; whoever saved one changes it, and admins do."""

    def __init__(self, callers: Callers, saved: SavedQueries) -> None:
        self._callers = callers
        self._saved = saved

    @answered
    async def ListSavedQueries(
        self, request: wire.ListSavedQueriesRequest, context: _Context
    ) -> wire.ListSavedQueriesResponse:
        _, project = await self._callers.enter(context, request.project, Role.VIEWER, ANALYTICS_READ)
        found = await self._saved.of(project.id)
        return wire.ListSavedQueriesResponse(queries=[_message(one, project) for one in found])

    @answered
    async def GetSavedQuery(self, request: wire.GetSavedQueryRequest, context: _Context) -> wire.GetSavedQueryResponse:
        _, saved, project = await self._found(request.id, context, ANALYTICS_READ)
        return wire.GetSavedQueryResponse(query=_message(saved, project))

    @answered
    async def CreateSavedQuery(
        self, request: wire.CreateSavedQueryRequest, context: _Context
    ) -> wire.CreateSavedQueryResponse:
        author = await self._callers.author(context)
        query = _read(request.query_json)
        project = await self._callers.admit(author, project_of(query), Role.VIEWER, "")
        made = await self._saved.create(project, request.name, query, author)
        return wire.CreateSavedQueryResponse(query=_message(made, project))

    @answered
    async def UpdateSavedQuery(
        self, request: wire.UpdateSavedQueryRequest, context: _Context
    ) -> wire.UpdateSavedQueryResponse:
        author, _, project = await self._found(request.id, context)
        query = _read(request.query_json)
        if project_of(query) not in (project.id, project.slug):
            raise invalid("projectId", "a saved query stays in its project")
        changed = await self._saved.update(project, request.id, request.name, query, author)
        return wire.UpdateSavedQueryResponse(query=_message(changed, project))

    @answered
    async def DeleteSavedQuery(
        self, request: wire.DeleteSavedQueryRequest, context: _Context
    ) -> wire.DeleteSavedQueryResponse:
        author, *_ = await self._found(request.id, context)
        await self._saved.delete(request.id, author)
        return wire.DeleteSavedQueryResponse()

    async def _found(self, saved_id: str, context: _Context, scope: str = "") -> tuple[Author, SavedQuery, Project]:
        """One of a project that the caller is a member of; others are unknown to them."""
        author = await self._callers.author(context)
        saved = await self._saved.get(saved_id)
        try:
            project = await self._callers.admit(author, saved.project_id, Role.VIEWER, scope)
        except ProjectUnknown:
            raise unknown(saved_id) from None
        return author, saved, project


def _message(saved: SavedQuery, project: Project) -> wire.SavedQuery:
    message = wire.SavedQuery(
        id=saved.id,
        name=saved.name,
        # A project may get another slug.
        query_json=orjson.dumps({**saved.query, "projectId": project.slug}),
        project=project.slug,
        author=saved.author,
    )
    message.create_time.CopyFrom(_time(saved.created_at))
    message.update_time.CopyFrom(_time(saved.updated_at))
    return message


def _time(ms: int) -> Timestamp:
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


def _read(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid("query", f"not valid JSON: {error}") from None
