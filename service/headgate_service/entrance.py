"""Lets a request in, or says why not: credential, then project, then scope."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

import msgspec
from headgate.v1 import event_pb2, outcome_pb2

from headgate_service.directory import (
    Credential,
    CredentialInvalid,
    Directory,
    DirectoryUnavailable,
    Project,
    ProjectForbidden,
    ProjectGone,
)
from headgate_service.doors import closed_because
from headgate_service.key_kind import KeyKind
from headgate_service.refused import Refused


@dataclass(frozen=True, slots=True)
class PublicRoute:
    """Where events of the API without credentials go: the project of the Origin's host, else the default one.

    Projects are named by slug or id.
    """

    project: str
    origins: Mapping[str, str] = field(default_factory=dict)

    def project_for(self, origin: str) -> str:
        try:
            host = urlsplit(origin).hostname or ""
        except ValueError:
            # What is no origin at all is no origin of the map either.
            host = ""
        return self.origins.get(host, self.project)


class Caller(msgspec.Struct, frozen=True):
    """Who sends, and into which project. `credential` is None for the API that takes none."""

    project: Project
    credential: Credential | None

    @property
    def marks_test(self) -> bool:
        return self.credential is not None and self.credential.kind == KeyKind.TEST

    @property
    def sees_sinks(self) -> bool:
        return self.credential is not None and self.credential.kind in (KeyKind.SECRET, KeyKind.ORGANISATION)


class Entrance:
    """Finds the caller of a request."""

    def __init__(self, directory: Directory, public_route: PublicRoute) -> None:
        self._directory = directory
        self._public_route = public_route

    async def enter(self, dialect: event_pb2.Dialect, key: str, project: str, origin: str) -> Caller:
        """Raises Refused with one of the credential's or project's causes, or CAUSE_UNAVAILABLE."""
        try:
            if dialect == event_pb2.DIALECT_CODCOMPASS:
                return Caller(self._public_project(origin), None)
            return await self._by_credential(dialect, key, project)
        except CredentialInvalid as error:
            raise Refused.because(outcome_pb2.CAUSE_CREDENTIAL_INVALID, str(error)) from error
        except ProjectForbidden as error:
            raise Refused.because(outcome_pb2.CAUSE_PROJECT_FORBIDDEN, str(error)) from error
        except ProjectGone as error:
            raise Refused.because(outcome_pb2.CAUSE_PROJECT_GONE, str(error)) from error
        except DirectoryUnavailable as error:
            retry_after = timedelta(seconds=error.retry_seconds)
            raise Refused.because(outcome_pb2.CAUSE_UNAVAILABLE, str(error), retry_after) from error

    async def _by_credential(self, dialect: event_pb2.Dialect, key: str, project: str) -> Caller:
        if not key:
            raise Refused.because(outcome_pb2.CAUSE_CREDENTIAL_MISSING, "no credential was given")
        credential = await self._directory.find(key)
        cause = closed_because(dialect, credential.kind, credential.scopes)
        if cause is not None:
            raise Refused.because(cause, _CLOSED[cause])
        named = project if credential.kind == KeyKind.ORGANISATION else ""
        return Caller(self._directory.project_for(credential, named), credential)

    def _public_project(self, origin: str) -> Project:
        name = self._public_route.project_for(origin)
        project = self._directory.project(name)
        if project is None:
            raise DirectoryUnavailable(f"the project {name!r} that [codcompass] names does not exist: create it")
        return project


_CLOSED: dict[outcome_pb2.Cause, str] = {
    outcome_pb2.CAUSE_CREDENTIAL_KIND: "a key of this kind does not open this API",
    outcome_pb2.CAUSE_SCOPE_MISSING: "the key lacks the scope events:write",
}
