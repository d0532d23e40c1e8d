"""What the directory knows: keys and projects in memory, and how it loads what is new about them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sqlalchemy import select

from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import ChangeCounter, KeyRow, OrganisationRow, ProjectRow
from headgate_service.directory.active_policies import ActivePolicies
from headgate_service.directory.project import Project
from headgate_service.model.key import KeyKind, lookup_prefix, same_hash

# The change counter's value of one who knows nothing.
NOTHING = -1


@dataclass(frozen=True, slots=True)
class Credential:
    """A good key, without the key. `project_id` is the project it belongs to.

    `all_projects`: it opens every project of its organisation.
    """

    id: str
    kind: KeyKind
    project_id: str
    organisation_id: str
    scopes: frozenset[str]
    all_projects: bool = False

    def opens(self, project: Project) -> bool:
        return project.id == self.project_id or (self.all_projects and project.organisation_id == self.organisation_id)


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key as the control DB has it; `credential` is None for a revoked one."""

    id: str
    hash: bytes = field(repr=False)
    credential: Credential | None


@dataclass(frozen=True, slots=True)
class Changes:
    """What the control DB holds that is newer than `since`, up to at least `until`."""

    since: int
    until: int
    organisations: tuple[tuple[str, bool], ...]
    projects: tuple[tuple[Project, bool], ...]
    keys: tuple[KnownKey, ...]


class ControlChanges:
    """Loads changes from the control DB. Without `policies` projects come without theirs: for who judges no events."""

    def __init__(self, database: ControlDb, policies: ActivePolicies | None = None) -> None:
        self._database = database
        self._policies = policies

    async def load(self, since: int) -> Changes:
        """What was written after the counter stood at `since`. Raises ControlDbUnavailable."""
        async with self._database.read() as session:
            # The counter first: a change that a less strict database lets in between is loaded twice, never missed.
            until = await session.scalar(select(ChangeCounter.value)) or 0
            if until == since:
                return Changes(since, until, (), (), ())
            if until < since:
                # An older copy of the database was put back: nothing that is known holds.
                since = NOTHING
            organisations = await session.scalars(select(OrganisationRow).where(OrganisationRow.change > since))
            projects = await session.scalars(select(ProjectRow).where(ProjectRow.change > since))
            keys = await session.scalars(select(KeyRow).where(KeyRow.change > since))
            changes = Changes(
                since,
                until,
                tuple((row.id, row.deleted_at is not None) for row in organisations),
                tuple((Project.of(row), row.deleted_at is not None) for row in projects),
                tuple(_known_key(row) for row in keys),
            )
        return changes if self._policies is None else await self._with_policies(changes, self._policies)

    async def _with_policies(self, changes: Changes, policies: ActivePolicies) -> Changes:
        # Versions never change, so that a later look at them is one at the same moment.
        await policies.learn({project.id: project.deploy_version for project, _ in changes.projects})
        known = ((replace(project, policy=policies.of(project.id)), gone) for project, gone in changes.projects)
        return replace(changes, projects=tuple(known))


class Snapshot:
    """Keys and projects as of one value of the change counter."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.change = NOTHING
        self._keys: dict[bytes, dict[str, KnownKey]] = {}
        self._projects: dict[str, Project] = {}
        self._slugs: dict[str, str] = {}
        self._deleted: set[str] = set()
        self._deleted_organisations: set[str] = set()

    def apply(self, changes: Changes) -> None:
        if changes.since == NOTHING:
            self._forget()
        for organisation_id, deleted in changes.organisations:
            _mark(self._deleted_organisations, organisation_id, deleted)
        for project, deleted in changes.projects:
            before = self._projects.get(project.id)
            if before is not None:
                del self._slugs[before.slug]
            self._projects[project.id] = project
            self._slugs[project.slug] = project.id
            _mark(self._deleted, project.id, deleted)
        for key in changes.keys:
            self._keys.setdefault(lookup_prefix(key.hash), {})[key.id] = key
        self.change = changes.until

    def key(self, hashed: bytes) -> KnownKey | None:
        """The key of a hash, revoked or not."""
        for known in self._keys.get(lookup_prefix(hashed), {}).values():
            if same_hash(known.hash, hashed):
                return known
        return None

    def project(self, id_or_slug: str) -> Project | None:
        """The project, deleted or not."""
        return self._projects.get(id_or_slug) or self._projects.get(self._slugs.get(id_or_slug, ""))

    def gone(self, project: Project) -> bool:
        """Whether it or its organisation was deleted."""
        return project.id in self._deleted or project.organisation_id in self._deleted_organisations

    def projects(self) -> Iterator[Project]:
        return (project for project in self._projects.values() if not self.gone(project))

    def deleted(self) -> Iterator[Project]:
        return (project for project in self._projects.values() if self.gone(project))


def _mark(marked: set[str], name: str, on: bool) -> None:
    if on:
        marked.add(name)
    else:
        marked.discard(name)


def _known_key(row: KeyRow) -> KnownKey:
    if row.revoked_at is not None:
        return KnownKey(row.id, row.hash, None)
    kind = KeyKind(row.kind)
    credential = Credential(
        row.id,
        kind,
        row.project_id,
        row.organisation_id,
        frozenset(row.scopes),
        all_projects=kind is KeyKind.ORGANISATION and row.all_projects is not False,
    )
    return KnownKey(row.id, row.hash, credential)
