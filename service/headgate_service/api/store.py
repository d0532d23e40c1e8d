"""StoreService over the admin socket, whose mode is the only credential."""

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from headgate.v1 import store_service_pb2 as wire
from headgate.v1.store_service_pb2_grpc import StoreServiceServicer

from headgate_service.api.rpc_status import answered
from headgate_service.directory.directory import Directory
from headgate_service.directory.project import Project
from headgate_service.errors import InvalidArgument, ProjectUnknown
from headgate_service.projects.store_check import ProjectCheck
from headgate_service.projects.store_watch import StoreWatch
from headgate_service.store.client import StoreUnavailable
from headgate_service.store.damage import DamagedPart
from headgate_service.store.retention import MAX_DAYS, Erasure

_DAY = 86_400

_Context = grpc.aio.ServicerContext[Any, Any]


class StoreServicer(StoreServiceServicer):
    """Translates between the wire and what acts. Without `erasure` there is no store, and without `watch` no sink that
    fills it. `forget` is told of a project of which events were deleted."""

    def __init__(
        self,
        directory: Directory,
        erasure: Erasure | None,
        forget: Callable[[str], None],
        watch: StoreWatch | None,
    ) -> None:
        self._directory = directory
        self._erasure = erasure
        self._forget = forget
        self._watch = watch

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

    @answered
    async def CheckStore(self, request: wire.CheckStoreRequest, context: _Context) -> wire.CheckStoreResponse:
        watch = self._watched
        projects = [self._project(one) for one in request.projects] or sorted(
            self._directory.projects(), key=lambda one: one.slug
        )
        settled = await watch.accept() if request.accept else 0
        checks = await watch.check(projects)
        parts = await watch.damaged()
        return wire.CheckStoreResponse(checks=map(_check, checks), damaged_parts=_parts(parts), settled=settled)

    @answered
    async def GetStoreStatus(
        self, request: wire.GetStoreStatusRequest, context: _Context
    ) -> wire.GetStoreStatusResponse:
        watch = self._watched
        size, parts, state = await self._store.size(), await watch.damaged(), watch.state
        answer = wire.GetStoreStatusResponse(
            rows=size.rows,
            bytes=size.bytes,
            damaged_parts=_parts(parts),
            replay=state.replay if parts else "",
            missing=state.missing,
        )
        if size.first and size.last:
            answer.first_receive_time.FromDatetime(size.first)
            answer.last_receive_time.FromDatetime(size.last)
        return answer

    @property
    def _watched(self) -> StoreWatch:
        if self._watch is None:
            raise StoreUnavailable("no sink fills a store: set [store] enabled or url, and leave its sink on")
        return self._watch

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


def _check(check: ProjectCheck) -> wire.StoreCheck:
    shown = wire.StoreCheck(
        project=check.project.slug,
        expected=check.expected,
        rows=check.rows,
        excused=check.excused,
        missing=check.missing,
        surplus=check.surplus,
    )
    for hour in check.hours:
        shown.hours.add(expected=hour.expected, rows=hour.rows).begin_time.FromSeconds(hour.hour * 3600)
    return shown


def _parts(parts: Sequence[DamagedPart]) -> list[wire.DamagedPart]:
    return [wire.DamagedPart(name=part.name, reason=part.reason, month=part.month) for part in parts]
