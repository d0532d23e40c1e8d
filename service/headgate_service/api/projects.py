"""ProjectService: projects, their keys and members, usage, and what was changed."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import grpc
from headgate.v1 import project_service_pb2 as wire
from headgate.v1 import project_service_pb2_grpc

from headgate_service.api.callers import Callers
from headgate_service.api.rpc_status import answered
from headgate_service.api.wire import deletion_report, held_key, listed_project, member, usage_answer, wire_new_key
from headgate_service.auth.audit import Author
from headgate_service.auth.audit_log import AuditLog
from headgate_service.control_db.database import ControlDb
from headgate_service.counters.saved import SavedCounters
from headgate_service.directory.directory import Directory
from headgate_service.directory.project import Project
from headgate_service.errors import DirectoryUnavailable, InvalidArgument, KeyUnknown, ProjectUnknown, RoleMissing
from headgate_service.model.key import KINDS_BY_WIRE, KeyKind
from headgate_service.model.principal import ROLES_BY_WIRE, Role
from headgate_service.model.rate_limit import RateLimit
from headgate_service.projects.catalogue import Catalogue
from headgate_service.projects.cleanup import leftovers_of
from headgate_service.projects.keyring import Keyring
from headgate_service.projects.members import Members
from headgate_service.projects.projects import Projects
from headgate_service.projects.usage import Usages
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.sink_control.sinks import Sinks

# What a JWT's scopes must hold.
READ, WRITE, USAGE = "projects:read", "projects:write", "analytics:read"

_Context = grpc.aio.ServicerContext[Any, Any]


class ProjectServicer(project_service_pb2_grpc.ProjectServiceServicer):
    """Translates between the wire and what acts, once the caller is let in. `now_ms` is milliseconds since 1970."""

    def __init__(
        self,
        callers: Callers,
        projects: Projects,
        keyring: Keyring,
        directory: Directory,
        sinks: Sinks,
        redis: RedisPipeline,
        database: ControlDb,
        *,
        default_rate: RateLimit | None,
        has_store: bool,
        now_ms: Callable[[], int],
    ) -> None:
        self._callers = callers
        self._projects = projects
        self._keyring = keyring
        self._members = Members(database, now_ms)
        self._catalogue = Catalogue(database)
        self._audit_log = AuditLog(database)
        self._usages = Usages(redis, SavedCounters(database))
        self._directory = directory
        self._sinks = sinks
        self._redis = redis
        self._default_rate = default_rate
        self._has_store = has_store
        self._now_ms = now_ms

    @answered
    async def CreateProject(
        self, request: wire.ProjectServiceCreateProjectRequest, context: _Context
    ) -> wire.ProjectServiceCreateProjectResponse:
        author = await self._callers.person(context)
        made = await self._projects.create_project(request.name, request.slug or None, by=author)
        await self._live()
        listed = await self._catalogue.get(made.project.id, author.principal)
        return wire.ProjectServiceCreateProjectResponse(
            project=listed_project(listed), keys=[wire_new_key(key, [made.project.slug]) for key in made.keys]
        )

    @answered
    async def ListProjects(self, request: wire.ListProjectsRequest, context: _Context) -> wire.ListProjectsResponse:
        author = await self._callers.person(context)
        listed = await self._catalogue.of(author.principal)
        return wire.ListProjectsResponse(projects=map(listed_project, listed))

    @answered
    async def GetProject(self, request: wire.GetProjectRequest, context: _Context) -> wire.GetProjectResponse:
        author, project = await self._callers.enter(context, request.project, Role.VIEWER, READ)
        listed = await self._catalogue.get(project.id, author.principal)
        return wire.GetProjectResponse(project=listed_project(listed))

    @answered
    async def UpdateProject(self, request: wire.UpdateProjectRequest, context: _Context) -> wire.UpdateProjectResponse:
        author, project = await self._callers.enter(context, request.project, Role.ADMIN, WRITE)
        if not (request.HasField("name") or request.HasField("time_zone")):
            raise InvalidArgument("name", "is absent, and so is all else that could be changed")
        await self._projects.update_project(
            project.id,
            request.name if request.HasField("name") else None,
            request.time_zone if request.HasField("time_zone") else None,
            author,
        )
        await self._live()
        listed = await self._catalogue.get(project.id, author.principal)
        return wire.UpdateProjectResponse(project=listed_project(listed))

    @answered
    async def DeleteProject(self, request: wire.DeleteProjectRequest, context: _Context) -> wire.DeleteProjectResponse:
        author, project = await self._callers.enter(context, request.project, Role.OWNER, WRITE)
        # Before the change: where Redis does not answer, nothing was done.
        remains = await leftovers_of(self._redis, self._sinks, project)
        ended = await self._projects.delete_project(project.id, author)
        await self._live()
        return deletion_report(project, ended, remains, self._has_store)

    @answered
    async def ListKeys(self, request: wire.ListKeysRequest, context: _Context) -> wire.ListKeysResponse:
        _, project = await self._callers.enter(context, request.project, Role.ADMIN, READ)
        keys = await self._keyring.of(project.id)
        return wire.ListKeysResponse(keys=[held_key(key, self._opened(project, key.opens_all)) for key in keys])

    @answered
    async def CreateKey(self, request: wire.CreateKeyRequest, context: _Context) -> wire.CreateKeyResponse:
        author, project = await self._callers.enter(context, request.project, Role.ADMIN, WRITE)
        kind = KINDS_BY_WIRE.get(request.kind)
        if kind is None:
            raise InvalidArgument("kind", "must be public, test, secret or organisation")
        await self._may_make(author, project, kind, request.all_projects)
        key = await self._keyring.create(project.id, kind, request.scopes, author, all_projects=request.all_projects)
        await self._live()
        return wire.CreateKeyResponse(key=wire_new_key(key, self._opened(project, key.all_projects)))

    @answered
    async def RotateKey(self, request: wire.RotateKeyRequest, context: _Context) -> wire.RotateKeyResponse:
        author, project = await self._key_project(context, request.project, request.id)
        key = await self._keyring.rotate(project.id, request.id, author)
        await self._live()
        return wire.RotateKeyResponse(key=wire_new_key(key, self._opened(project, key.all_projects)))

    @answered
    async def BindKey(self, request: wire.BindKeyRequest, context: _Context) -> wire.BindKeyResponse:
        author, project = await self._key_project(context, request.project, request.id)
        await self._may_make(author, project, KeyKind.ORGANISATION, request.all_projects)
        key = await self._keyring.bind(request.id, all_projects=request.all_projects, by=author)
        await self._live()
        return wire.BindKeyResponse(key=held_key(key, self._opened(project, key.opens_all)))

    @answered
    async def RevokeKey(self, request: wire.RevokeKeyRequest, context: _Context) -> wire.RevokeKeyResponse:
        author, project = await self._key_project(context, request.project, request.id)
        await self._keyring.revoke(request.id, project.id, author)
        await self._live()
        return wire.RevokeKeyResponse()

    @answered
    async def ListMembers(self, request: wire.ListMembersRequest, context: _Context) -> wire.ListMembersResponse:
        _, project = await self._callers.enter(context, request.project, Role.VIEWER, READ)
        return wire.ListMembersResponse(members=map(member, await self._members.of(project.id)))

    @answered
    async def SetMember(self, request: wire.SetMemberRequest, context: _Context) -> wire.SetMemberResponse:
        author, project = await self._callers.enter(context, request.project, Role.ADMIN, "")
        role = ROLES_BY_WIRE.get(request.role)
        if role is None:
            raise InvalidArgument("role", "must be viewer, member, admin or owner")
        return wire.SetMemberResponse(member=member(await self._members.set(project.id, request.user, role, author)))

    @answered
    async def RemoveMember(self, request: wire.RemoveMemberRequest, context: _Context) -> wire.RemoveMemberResponse:
        # Anyone may leave; who may remove whom is decided by the membership.
        author, project = await self._callers.enter(context, request.project, Role.VIEWER, "")
        await self._members.remove(project.id, request.user, author)
        return wire.RemoveMemberResponse()

    @answered
    async def GetUsage(self, request: wire.GetUsageRequest, context: _Context) -> wire.GetUsageResponse:
        _, project = await self._callers.enter(context, request.project, Role.VIEWER, USAGE)
        now = datetime.fromtimestamp(self._now_ms() / 1000, UTC)
        return usage_answer(project, await self._usages.of(project), request, self._default_rate, now)

    @answered
    async def ListAudit(self, request: wire.ListAuditRequest, context: _Context) -> wire.ListAuditResponse:
        if request.project:
            _, project = await self._callers.enter(context, request.project, Role.ADMIN, READ)
            entries = await self._audit_log.of(project.id, request.limit, request.before)
        elif (person := (await self._callers.person(context)).principal.user_id) is not None:
            entries = await self._audit_log.by(person, request.limit, request.before)
        else:
            entries = await self._audit_log.all(request.limit, request.before)
        return wire.ListAuditResponse(entries=entries)

    async def _key_project(self, context: _Context, named: str, key_id: str) -> tuple[Author, Project]:
        """The project of a key that the caller may make and end."""
        author = await self._callers.author(context)
        if named:
            # First of all whether the caller may know of the project.
            project = await self._callers.admit(author, named, Role.ADMIN, WRITE)
        key = await self._keyring.key(key_id)
        if not named:
            try:
                project = await self._callers.admit(author, key.project_id, Role.ADMIN, WRITE)
            except ProjectUnknown:
                raise KeyUnknown(KeyUnknown.SAID) from None
        if key.project_id != project.id:
            raise KeyUnknown(KeyUnknown.SAID)
        await self._may_make(author, project, key.kind, key.opens_all)
        return author, project

    async def _may_make(self, author: Author, project: Project, kind: KeyKind, all_projects: bool) -> None:
        if kind is not KeyKind.ORGANISATION:
            return
        if all_projects:
            if not await self._catalogue.owns_organisation(author.principal, project.organisation_id):
                raise RoleMissing("a key of all projects is for who owns every one of them: ask the operator")
        elif not await self._catalogue.owns(author.principal, project.id):
            raise RoleMissing("organisation keys of a project are for its owners")

    def _opened(self, project: Project, all_projects: bool) -> list[str]:
        """The slugs of the projects that a key of this project opens."""
        if not all_projects:
            return [project.slug]
        with suppress(DirectoryUnavailable):
            known = self._directory.projects()
            return sorted(one.slug for one in known if one.organisation_id == project.organisation_id)
        return [project.slug]

    async def _live(self) -> None:
        # So that what was made works, and what was ended does not, from this answer on. Should the database fail just
        # now, the next look a second later does it.
        with suppress(DirectoryUnavailable):
            await self._directory.refresh()
