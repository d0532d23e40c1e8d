"""StoreService over the admin socket, whose mode is the only credential."""

from collections.abc import Callable
from typing import Any

import grpc
from headgate.v1 import store_service_pb2 as wire
from headgate.v1.store_service_pb2_grpc import StoreServiceServicer

from headgate_service.api.rpc_status import answered
from headgate_service.directory.directory import Directory
from headgate_service.directory.project import Project
from headgate_service.errors import InvalidArgument, ProjectUnknown
from headgate_service.store.client import StoreUnavailable
from headgate_service.store.retention import MAX_DAYS, Erasure

_DAY = 86_400

_Context = grpc.aio.ServicerContext[Any, Any]


class StoreServicer(StoreServiceServicer):
    """Translates between the wire and what acts. Without `erasure` there is no store. `forget` is told of a project of
    which events were deleted."""

    def __init__(self, directory: Directory, erasure: Erasure | None, forget: Callable[[str], None]) -> None:
        self._directory = directory
        self._erasure = erasure
        self._forget = forget

    @answered
    async def DeleteUser(self, request: wire.DeleteUserRequest, context: _Context) -> wire.DeleteUserResponse:
        project = self._project(request.project)
        if not request.user:
            raise InvalidArgument("user", "name whose events to delete, by user id or distinct id")
        try:
            erased = await self._store.user(project.id, request.user)
        finally:
            self._forget(project.id)
        answer = wire.DeleteUserResponse(deleted=erased.events, remaining=erased.remaining)
        if erased.first and erased.last:
            answer.first_receive_time.FromDatetime(erased.first)
            answer.last_receive_time.FromDatetime(erased.last)
        return answer

    @answered
    async def SetRetention(self, request: wire.SetRetentionRequest, context: _Context) -> wire.SetRetentionResponse:
        project = self._project(request.project)
        days, rest = divmod(request.keep.seconds, _DAY)
        if rest or request.keep.nanos or not 0 <= days <= MAX_DAYS:
            raise InvalidArgument("keep", f"give whole days, 0 to {MAX_DAYS}")
        await self._store.keep(project.id, days)
        return wire.SetRetentionResponse()

    @property
    def _store(self) -> Erasure:
        if self._erasure is None:
            raise StoreUnavailable("there is no store: set [store] enabled or url")
        return self._erasure

    def _project(self, named: str) -> Project:
        # Of a deleted one, too, something may be left.
        project = self._directory.remembered(named)
        if project is None:
            raise ProjectUnknown(f"no project {named}: give its slug or id")
        return project
