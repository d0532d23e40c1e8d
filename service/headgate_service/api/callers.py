"""Who calls, as the services of projects ask it: Access on the public server, OperatorAccess on the admin socket."""

from collections.abc import Callable
from typing import Any, Protocol

from headgate_service.auth.access import bearer_text
from headgate_service.auth.audit import Author, CallOrigin
from headgate_service.auth.call_limits import CallLimits
from headgate_service.auth.trail import Trail
from headgate_service.directory.project import Project
from headgate_service.errors import CredentialInvalid, PersonRequired
from headgate_service.model.principal import OPERATOR, Principal, PrincipalKind, Role
from headgate_service.projects.projects import Projects


class OperatorAccess:
    """Whoever gets there is the operator, who may do everything."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects

    async def principal(self, metadata: Any, *, used: bool = True) -> Principal:
        return OPERATOR

    async def project(self, principal: Principal, id_or_slug: str, least: Role, scope: str = "") -> Project:
        """Raises ProjectUnknown, ControlDbUnavailable."""
        return await self._projects.get(id_or_slug)


class Access(Protocol):
    """Raises the errors of headgate_service.auth, ProjectUnknown, ControlDbUnavailable."""

    async def principal(self, metadata: Any, *, used: bool = True) -> Principal: ...

    async def project(self, principal: Principal, id_or_slug: str, least: Role, scope: str) -> Project: ...


class Callers:
    """Lets callers in. `origin` tells from a call's context where it comes from.

    Without `limits` nobody is limited, and without `trail` no refusal is recorded.
    """

    def __init__(
        self,
        access: Access,
        origin: Callable[[Any], CallOrigin],
        limits: CallLimits | None = None,
        trail: Trail | None = None,
    ) -> None:
        self._access = access
        self._origin = origin
        self._limits = limits
        self._trail = trail

    async def author(self, context: Any) -> Author:
        """Whoever calls, let in nowhere yet. Raises TooManyCalls, too."""
        metadata = context.invocation_metadata()
        try:
            principal = await self._access.principal(metadata)
        except CredentialInvalid:
            if self._trail is not None:
                await self._trail.credential_refused(bearer_text(metadata), self._origin(context))
            raise
        if self._limits is not None:
            self._limits.take(principal)
        return Author(principal, self._origin(context))

    async def person(self, context: Any) -> Author:
        """Whoever calls, who must be a person or the operator. Raises PersonRequired, too."""
        author = await self.author(context)
        if author.principal.user_id is None and author.principal.kind is not PrincipalKind.OPERATOR:
            raise PersonRequired("only people do this: sign in, or use the token of a CLI")
        return author

    async def enter(self, context: Any, project: str, least: Role, scope: str) -> tuple[Author, Project]:
        """Whoever calls, and the project that they name, where they may do there what `least` may."""
        author = await self.author(context)
        return author, await self.admit(author, project, least, scope)

    async def check(self, context: Any, project: str, least: Role, scope: str) -> None:
        """Whether a caller who was let in would be again. To ask makes no session last on."""
        principal = await self._access.principal(context.invocation_metadata(), used=False)
        await self._access.project(principal, project, least, scope)

    async def admit(self, author: Author, project: str, least: Role, scope: str) -> Project:
        """The same of a caller who is known."""
        return await self._access.project(author.principal, project, least, scope)
