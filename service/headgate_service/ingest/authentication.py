"""Lets a request in, or says why not: credential, then project, then scope."""

from datetime import timedelta

import msgspec
from headgate.v1 import outcome_pb2

from headgate_service.config import PublicRoute
from headgate_service.directory.directory import Directory
from headgate_service.directory.project import Project
from headgate_service.directory.snapshot import Credential
from headgate_service.errors import CredentialInvalid, DirectoryUnavailable, ProjectForbidden, ProjectGone
from headgate_service.failure import RETRY_SECONDS
from headgate_service.ingest.refusal import Refused
from headgate_service.ingest.sessions import Known, SessionCache
from headgate_service.model.api import Api
from headgate_service.model.key import KeyKind
from headgate_service.model.principal import Role

WRITE_SCOPE = "events:write"


def closed_because(api: Api, kind: KeyKind, scopes: frozenset[str]) -> outcome_pb2.Cause | None:
    """Why a good credential may not write by this API; None where it may."""
    if kind not in api.key_kinds:
        return outcome_pb2.CAUSE_CREDENTIAL_KIND
    if kind == KeyKind.ORGANISATION and WRITE_SCOPE not in scopes:
        return outcome_pb2.CAUSE_SCOPE_MISSING
    return None


# How long an event of the API without credentials may wait to learn who is signed in.
BESIDE_SECONDS = 0.1


class Caller(msgspec.Struct, frozen=True):
    """Who sends, and into which project: a key, or `person` by session, CLI token or JWT; neither for the API that
    takes none, where `beside` is who was signed in when it was sent."""

    project: Project
    credential: Credential | None
    person: Known | None = None
    beside: Known | None = None

    @property
    def sender(self) -> str:
        """What limits and idempotency keys tell senders apart by; empty for the API that takes no credential."""
        if self.person is not None:
            return self.person.principal.user_id or self.person.principal.credential_id
        return self.credential.id if self.credential is not None else ""

    @property
    def marks_test(self) -> bool:
        return self.credential is not None and self.credential.kind == KeyKind.TEST

    @property
    def sees_sinks(self) -> bool:
        return self.credential is not None and self.credential.kind in (KeyKind.SECRET, KeyKind.ORGANISATION)


class Authentication:
    """Finds the caller of a request."""

    def __init__(self, directory: Directory, public_route: PublicRoute, people: SessionCache) -> None:
        self._directory = directory
        self._public_route = public_route
        self._people = people

    async def enter(self, api: Api, key: str, project: str, origin: str) -> Caller:
        """Raises Refused with one of the credential's or project's causes, or CAUSE_UNAVAILABLE."""
        try:
            if not api.key_kinds:
                return Caller(self._public_project(origin), None, beside=await self._beside(key) if key else None)
            return await self._by_credential(api, key, project)
        except CredentialInvalid as error:
            raise Refused.because(outcome_pb2.CAUSE_CREDENTIAL_INVALID, str(error)) from error
        except ProjectForbidden as error:
            raise Refused.because(outcome_pb2.CAUSE_PROJECT_FORBIDDEN, str(error)) from error
        except ProjectGone as error:
            raise Refused.because(outcome_pb2.CAUSE_PROJECT_GONE, str(error)) from error
        except DirectoryUnavailable as error:
            retry_after = timedelta(seconds=error.retry_after or RETRY_SECONDS)
            raise Refused.because(outcome_pb2.CAUSE_UNAVAILABLE, str(error), retry_after) from error

    async def _by_credential(self, api: Api, key: str, project: str) -> Caller:
        if not key:
            raise Refused.because(outcome_pb2.CAUSE_CREDENTIAL_MISSING, "no credential was given")
        if api.people and (shown := _shown_by_person(key)):
            return self._by_person(await self._people.find(shown), project)
        credential = await self._directory.find(key)
        cause = closed_because(api, credential.kind, credential.scopes)
        if cause is not None:
            raise Refused.because(cause, _CLOSED[cause])
        return Caller(self._directory.project_for(credential, project), credential)

    def _by_person(self, known: Known, named: str) -> Caller:
        principal = known.principal
        if principal.scopes is not None and WRITE_SCOPE not in principal.scopes:
            raise Refused.because(outcome_pb2.CAUSE_SCOPE_MISSING, "the token lacks the scope events:write")
        project = self._project_of(known, named)
        if principal.scopes is None and not _may_write(known, project):
            raise Refused.because(outcome_pb2.CAUSE_SCOPE_MISSING, "to write takes the role member in the project")
        return Caller(project, None, person=known)

    def _project_of(self, known: Known, named: str) -> Project:
        """The one the token or the person's membership means; where that may be several, the one that is named."""
        may = known.principal.project_ids if known.principal.scopes is not None else known.roles
        projects = {one.id: one for name in may or () if (one := self._directory.remembered(name)) is not None}
        gone = {one.id for one in projects.values() if self._directory.project(one.id) is None}
        if named:
            wanted = self._directory.remembered(named)
            chosen = projects.get(wanted.id) if wanted is not None else None
        else:
            # What is gone, or may only be looked at, is not what somebody means who has another.
            living = [one for one in projects.values() if one.id not in gone]
            writable = [one for one in living if known.principal.scopes is not None or _may_write(known, one)]
            candidates = writable or living or list(projects.values())
            chosen = candidates[0] if len(candidates) == 1 else None
            if len(candidates) > 1:
                raise ProjectForbidden("the credential is good for several projects: name one by X-Headgate-Project")
        if chosen is None:
            raise ProjectForbidden("the credential may not write to this project, or there is none of that name")
        if chosen.id in gone:
            raise ProjectGone("the project, or its organisation, was deleted")
        return chosen

    async def _beside(self, key: str) -> Known | None:
        shown = _shown_by_person(key)
        return await self._people.soon(shown, BESIDE_SECONDS) if shown and self._directory.healthy else None

    def _public_project(self, origin: str) -> Project:
        name = self._public_route.project_for(origin)
        project = self._directory.project(name)
        if project is None:
            raise DirectoryUnavailable(f"the project {name!r} that [codcompass] names does not exist: create it")
        return project


def _may_write(known: Known, project: Project) -> bool:
    return known.roles[project.id].covers(Role.MEMBER)


def _shown_by_person(text: str) -> str:
    """The credential that the gateway marks as a bearer token or the session's cookie; empty for a key."""
    kind, _, shown = text.partition(":")
    return shown if kind in ("bearer", "session") else ""


_CLOSED: dict[outcome_pb2.Cause, str] = {
    outcome_pb2.CAUSE_CREDENTIAL_KIND: "a key of this kind does not open this API",
    outcome_pb2.CAUSE_SCOPE_MISSING: "the key lacks the scope events:write",
}
