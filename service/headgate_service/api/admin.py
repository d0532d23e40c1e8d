"""The operator's service: projects, keys, and events as they come."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import grpc
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1 import admin_service_pb2_grpc

from headgate_service.api.rpc_status import REFUSALS, abort
from headgate_service.api.wire import wire_new_key, wire_project
from headgate_service.directory.directory import Directory
from headgate_service.directory.project import Project
from headgate_service.errors import DirectoryUnavailable, InvalidArgument, ProjectUnknown
from headgate_service.log.tail import Tail, Watchers
from headgate_service.model.rate_limit import RateLimit
from headgate_service.projects.projects import Kept, Projects

MAX_LAST = 10_000

_Context = grpc.aio.ServicerContext[Any, Any]
Made = TypeVar("Made")


class AdminServicer(admin_service_pb2_grpc.AdminServiceServicer):
    """AdminService over the admin socket, whose mode is the only credential."""

    def __init__(self, projects: Projects, directory: Directory, tail: Tail, watchers: Watchers) -> None:
        self._projects = projects
        self._directory = directory
        self._tail = tail
        self._watchers = watchers

    async def CreateProject(
        self, request: admin.CreateProjectRequest, context: _Context
    ) -> admin.CreateProjectResponse:
        made = await self._changed(
            context,
            lambda: self._projects.create_project(
                request.name,
                request.slug or None,
                request.monthly_limit if request.HasField("monthly_limit") else None,
                _rate_limit(request.rate_limit) if request.HasField("rate_limit") else None,
                organisation=request.organisation,
            ),
        )
        return admin.CreateProjectResponse(
            project=wire_project(made.project), keys=[wire_new_key(key, [made.project.slug]) for key in made.keys]
        )

    async def SetPlan(self, request: admin.SetPlanRequest, context: _Context) -> admin.SetPlanResponse:
        project = await self._changed(
            context, lambda: self._projects.set_plan(request.project, _monthly_limit(request), _planned_rate(request))
        )
        return admin.SetPlanResponse(project=wire_project(project))

    async def TailEvents(
        self, request: admin.TailEventsRequest, context: _Context
    ) -> AsyncIterator[admin.TailEventsResponse]:
        try:
            if not 0 <= request.last <= MAX_LAST:
                raise InvalidArgument("last", f"must be 0 to {MAX_LAST}")
            chosen = self._choice(request.projects)
            # Each event waits until the watcher has room for it.
            latest, last = request.no_follow, request.last
            with self._watchers.operator():
                async for event in self._tail.latest(chosen(), last) if latest else self._tail.events(chosen, last):
                    yield admin.TailEventsResponse(event=event)
        except REFUSALS as error:
            await abort(context, error)

    def _choice(self, names: Iterable[str]) -> Callable[[], tuple[Project, ...]]:
        wanted = tuple(dict.fromkeys(names))
        if not wanted:
            return lambda: tuple(self._directory.projects())
        chosen = []
        for name in wanted:
            project = self._directory.project(name)
            if project is None:
                raise ProjectUnknown(f"no project {name}: give its slug or id")
            chosen.append(project)
        return lambda: tuple(chosen)

    async def _changed(self, context: _Context, change: Callable[[], Awaitable[Made]]) -> Made:
        try:
            made = await change()
        except REFUSALS as error:
            await abort(context, error)
        # So that what was made works, and what was ended does not, from this answer on. Should the database fail
        # just now, the next look a second later does it.
        with suppress(DirectoryUnavailable):
            await self._directory.refresh()
        return made


def _rate_limit(limit: admin.RateLimit) -> RateLimit:
    if limit.window.nanos:
        raise InvalidArgument("rate_limit.window", "must be whole seconds")
    return RateLimit(limit.requests, limit.window.seconds * 1000)


def _monthly_limit(request: admin.SetPlanRequest) -> int | Kept | None:
    match request.WhichOneof("monthly"):
        case "monthly_limit":
            return request.monthly_limit
        case "no_monthly_limit" if request.no_monthly_limit:
            return None
    return Kept.AS_IT_IS


def _planned_rate(request: admin.SetPlanRequest) -> RateLimit | Kept | None:
    match request.WhichOneof("rate"):
        case "rate_limit":
            return _rate_limit(request.rate_limit)
        case "default_rate_limit" if request.default_rate_limit:
            return None
    return Kept.AS_IT_IS
