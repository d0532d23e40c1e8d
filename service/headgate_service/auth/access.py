"""Who calls, and whether they may: asked of the control DB at each call, so that what was ended opens nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import select

from headgate_service.auth.sessions import Sessions
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import MemberRow, OrganisationRow, ProjectRow
from headgate_service.directory.directory import Directory
from headgate_service.directory.project import Project
from headgate_service.errors import (
    CredentialInvalid,
    CredentialMissing,
    PersonRequired,
    ProjectUnknown,
    RoleMissing,
    ScopeMissing,
)
from headgate_service.errors import CredentialInvalid as KeyInvalid
from headgate_service.model.key import ANALYTICS_READ, KEY_PREFIXES, KeyKind
from headgate_service.model.principal import Principal, PrincipalKind, Role

# The keys that are credentials of whoever asks, and what those without scopes of their own may do.
_KEYS = (KEY_PREFIXES[KeyKind.ORGANISATION], KEY_PREFIXES[KeyKind.SECRET])
_OF_SECRET_KEYS = frozenset({ANALYTICS_READ})


class Tokens(Protocol):
    """Verifies bearer JWTs."""

    async def principal(self, text: str) -> Principal:
        """Raises CredentialInvalid, and what else makes it impossible to tell."""


class Access:
    """Every call may raise ControlDbUnavailable, and `principal` DirectoryUnavailable.

    Metadata are gRPC's, a sequence of pairs: `authorization: Bearer <text>`, of a session, a CLI's access token, an
    organisation or secret key, or a JWT. `principal` may also raise KeysUnavailable, of a JWT's issuer.
    """

    def __init__(self, database: ControlDb, sessions: Sessions, directory: Directory, tokens: Tokens) -> None:
        self._database = database
        self._sessions = sessions
        self._directory = directory
        self._tokens = tokens

    async def principal(self, metadata: Sequence[tuple[str, Any]] | None, *, used: bool = True) -> Principal:
        """Who calls; `used` makes a session last on. Raises CredentialMissing, CredentialInvalid."""
        text = bearer_text(metadata)
        if not text:
            raise CredentialMissing("no credential was given: sign in, or send `Authorization: Bearer <token>`")
        if text.startswith(_KEYS):
            return await self._by_key(text)
        return await self.principal_of(text, used=used)

    async def principal_of(self, text: str, *, used: bool) -> Principal:
        """Whose a session, a CLI's access token or a JWT is. Raises CredentialInvalid."""
        if text.count(".") == 2:
            return await self._tokens.principal(text)
        return (await self._sessions.find(text, used=used)).principal

    async def project(self, principal: Principal, id_or_slug: str, least: Role, scope: str = "") -> Project:
        """The project, where the caller may do there what takes `least` of a person, `scope` of anything else.

        Without a scope only people may. To whoever is not a member it is as unknown as one that is not there. Raises
        ProjectUnknown, RoleMissing, ScopeMissing, PersonRequired.
        """
        project, role = await self._look(principal, id_or_slug)
        if project is None or not (role or _admits(principal, project)):
            raise ProjectUnknown(f"no project {id_or_slug}: give its slug or id")
        if principal.kind is PrincipalKind.OPERATOR:
            return project
        if principal.scopes is not None:
            require_scope(principal, scope)
        elif role is not None and not role.covers(least):
            raise RoleMissing(f"this takes the role {least} in the project; yours is {role}")
        return project

    async def roles(self, principal: Principal) -> Mapping[str, Role]:
        """A person's roles by project's id, deleted ones' too; nobody else has any."""
        if principal.user_id is None:
            return {}
        async with self._database.read() as session:
            found = await session.execute(
                select(MemberRow.project_id, MemberRow.role).where(MemberRow.user_id == principal.user_id)
            )
            return {project_id: Role(role) for project_id, role in found}

    async def _by_key(self, text: str) -> Principal:
        try:
            key = await self._directory.find(text)
        except KeyInvalid as error:
            raise CredentialInvalid(str(error)) from None
        if self._directory.project(key.project_id) is None:
            raise CredentialInvalid("the project of the key was deleted")
        return Principal(
            PrincipalKind.KEY,
            scopes=_OF_SECRET_KEYS if key.kind is KeyKind.SECRET else key.scopes,
            project_ids=None if key.all_projects else frozenset({key.project_id}),
            credential_id=key.id,
            organisation_id=key.organisation_id,
        )

    async def _look(self, principal: Principal, id_or_slug: str) -> tuple[Project | None, Role | None]:
        mine = (MemberRow.project_id == ProjectRow.id) & (MemberRow.user_id == (principal.user_id or ""))
        async with self._database.read() as session:
            found = await session.execute(
                select(ProjectRow, MemberRow.role)
                .join(OrganisationRow, OrganisationRow.id == ProjectRow.organisation_id)
                .outerjoin(MemberRow, mine)
                .where(
                    (ProjectRow.id == id_or_slug) | (ProjectRow.slug == id_or_slug),
                    ProjectRow.deleted_at.is_(None),
                    OrganisationRow.deleted_at.is_(None),
                )
            )
            row = found.first()
            return (Project.of(row[0]), Role(row[1]) if row[1] else None) if row else (None, None)


def require_scope(principal: Principal, scope: str) -> None:
    """Raises ScopeMissing, or PersonRequired where there is no scope for it, for whoever is not a person."""
    if principal.scopes is None:
        return
    if not scope:
        raise PersonRequired("only people do this: sign in, or use the token of a CLI")
    if scope not in principal.scopes:
        raise ScopeMissing(f"the credential lacks the scope {scope}")


def bearer_text(metadata: Sequence[tuple[str, Any]] | None) -> str:
    """What `authorization: Bearer <text>` holds; empty where there is none."""
    for name, value in metadata or ():
        if name == "authorization" and isinstance(value, str):
            scheme, _, text = value.partition(" ")
            return text.strip() if scheme.lower() == "bearer" else ""
    return ""


def _admits(principal: Principal, project: Project) -> bool:
    """Whether a caller who is not a person may know of the project."""
    match principal.kind:
        case PrincipalKind.OPERATOR:
            return True
        case PrincipalKind.KEY:
            return principal.organisation_id == project.organisation_id and (
                principal.project_ids is None or project.id in principal.project_ids
            )
        case PrincipalKind.JWT:
            return not {project.id, project.slug}.isdisjoint(principal.project_ids or ())
    return False
