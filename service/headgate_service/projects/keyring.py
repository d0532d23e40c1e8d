"""The keys of projects: how they come to be and end."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from headgate_service.auth.audit import THE_OPERATOR, Author
from headgate_service.config import TenantLimits
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import KeyRow, ProjectRow
from headgate_service.directory.project import living_project, valid_scopes
from headgate_service.errors import InvalidArgument, KeyRevoked, KeyUnknown, LimitReached
from headgate_service.model.ids import make_id
from headgate_service.model.key import FreshKey, KeyKind, RandomBytes, key_hash, lookup_prefix, make_key
from headgate_service.model.principal import PrincipalKind

DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key without the key. Times are milliseconds since 1970; `revoked_at` is None for one that opens something."""

    id: str
    project_id: str
    kind: KeyKind
    scopes: tuple[str, ...]
    all_projects: bool | None
    created_at: int
    revoked_at: int | None

    @classmethod
    def of(cls, row: KeyRow) -> "HeldKey":
        scopes = tuple(row.scopes)
        return cls(row.id, row.project_id, KeyKind(row.kind), scopes, row.all_projects, row.created_at, row.revoked_at)

    @property
    def opens_all(self) -> bool:
        """Whether it opens every project of its organisation."""
        return self.kind is KeyKind.ORGANISATION and self.all_projects is not False


@dataclass(frozen=True, slots=True)
class UnboundKey:
    """An organisation key that opens several projects, of which nobody has said that it should."""

    id: str
    projects: tuple[str, ...]


class Keyring:
    """Makes and ends keys in the control DB; every call may raise ControlDbUnavailable."""

    def __init__(
        self,
        database: ControlDb,
        *,
        random: RandomBytes,
        now_ms: Callable[[], int],
        limits: TenantLimits | None = None,
    ) -> None:
        self._database = database
        self._random = random
        self._now_ms = now_ms
        self._limits = limits or TenantLimits()

    async def of(self, project: str) -> Sequence[HeldKey]:
        """A project's keys, by its id or slug, ended ones too, the oldest first. Raises ProjectUnknown."""
        async with self._database.read() as session:
            row = await living_project(session, project)
            keys = [HeldKey.of(key) for key in await session.scalars(select(KeyRow).where(KeyRow.project_id == row.id))]
        kinds = list(KeyKind)
        return sorted(keys, key=lambda key: (key.created_at, kinds.index(key.kind), key.id))

    async def key(self, key_id: str) -> HeldKey:
        """A key of any project, ended or not. Raises KeyUnknown."""
        async with self._database.read() as session:
            return HeldKey.of(await _known(session, key_id, None))

    async def create(
        self,
        project: str,
        kind: KeyKind,
        scopes: Iterable[str] = (),
        by: Author = THE_OPERATOR,
        *,
        all_projects: bool = False,
    ) -> FreshKey:
        """A key of a project, by its id or slug. Only organisation keys take scopes; for one without, `events:write`.

        `all_projects`: an organisation key opens every project of the organisation. Raises ProjectUnknown,
        InvalidArgument.
        """
        granted = valid_scopes(kind, scopes)
        if all_projects:
            _require_organisation_key(kind)
        async with self._database.change() as (session, change):
            row = await living_project(session, project)
            await self._require_room(session, row.id, by)
            key = self.add(session, change, row, kind, granted, all_projects)
            by.record(session, "key.create", f"{key.id} {kind}{' of all projects' * all_projects}", row.id)
            return key

    async def rotate(self, project: str, key_id: str, by: Author = THE_OPERATOR) -> FreshKey:
        """A key of the same kind and scopes; the old one goes on. Raises ProjectUnknown, KeyUnknown, KeyRevoked."""
        async with self._database.change() as (session, change):
            row = await living_project(session, project)
            old = HeldKey.of(await _known(session, key_id, row.id))
            if old.revoked_at is not None:
                raise KeyRevoked(f"the key {key_id} is revoked: make another with `create`")
            await self._require_room(session, row.id, by)
            key = self.add(session, change, row, old.kind, old.scopes, old.all_projects)
            by.record(session, "key.rotate", f"{old.id} {key.id}", row.id)
            return key

    async def revoke(self, key_id: str, project_id: str | None = None, by: Author = THE_OPERATOR) -> None:
        """Ends a key, with `project_id` one of that project; ending it again is not an error. Raises KeyUnknown."""
        async with self._database.change() as (session, change):
            row = await _known(session, key_id, project_id)
            if row.revoked_at is None:
                row.revoked_at, row.change = self._now_ms(), change
                by.record(session, "key.revoke", key_id, row.project_id)

    async def bind(self, key_id: str, *, all_projects: bool, by: Author = THE_OPERATOR) -> HeldKey:
        """Decides whether an organisation key opens its own project only, or all of its organisation.

        Raises KeyUnknown, KeyRevoked, InvalidArgument for a key of another kind.
        """
        async with self._database.change() as (session, change):
            row = await _known(session, key_id, None)
            _require_organisation_key(KeyKind(row.kind))
            if row.revoked_at is not None:
                raise KeyRevoked(f"the key {key_id} is revoked: make another with `create`")
            if row.all_projects is not all_projects:
                row.all_projects, row.change = all_projects, change
                target = f"{key_id} to {'all projects' if all_projects else 'its project'}"
                by.record(session, "key.bind", target, row.project_id)
            return HeldKey.of(row)

    async def unbound(self) -> Sequence[UnboundKey]:
        """Keys made before keys were bound, as far as they open more than their own project."""
        async with self._database.read() as session:
            found = await session.execute(
                select(KeyRow.id, ProjectRow.slug)
                .join(ProjectRow, ProjectRow.organisation_id == KeyRow.organisation_id)
                .where(
                    KeyRow.kind == KeyKind.ORGANISATION.value,
                    KeyRow.all_projects.is_(None),
                    KeyRow.revoked_at.is_(None),
                    ProjectRow.deleted_at.is_(None),
                )
                .order_by(KeyRow.id, ProjectRow.slug)
            )
            opened: dict[str, list[str]] = {}
            for key_id, slug in found:
                opened.setdefault(key_id, []).append(slug)
        return [UnboundKey(key_id, tuple(slugs)) for key_id, slugs in opened.items() if len(slugs) > 1]

    async def _require_room(self, session: AsyncSession, project_id: str, by: Author) -> None:
        if by.principal.kind is PrincipalKind.OPERATOR:
            return
        # Those made today count although they are revoked: rows of revoked keys stay.
        known = select(func.count()).where(
            KeyRow.project_id == project_id,
            KeyRow.revoked_at.is_(None) | (KeyRow.created_at > self._now_ms() - DAY_MS),
        )
        if (await session.scalar(known) or 0) >= self._limits.keys:
            raise LimitReached(
                f"the project has or made today {self._limits.keys} keys, the most that the operator allows "
                "(`tenants.keys`): revoke those that nobody uses"
            )

    def add(
        self,
        session: AsyncSession,
        change: int,
        project: ProjectRow,
        kind: KeyKind,
        scopes: tuple[str, ...],
        all_projects: bool | None = False,
    ) -> FreshKey:
        """A key made in a change that is under way."""
        opens_all = kind is KeyKind.ORGANISATION and all_projects is not False
        key = FreshKey(make_id("key", self._random), kind, scopes, make_key(kind, self._random), opens_all)
        hashed = key_hash(key.text)
        session.add(
            KeyRow(
                id=key.id,
                project_id=project.id,
                organisation_id=project.organisation_id,
                kind=kind.value,
                hash=hashed,
                lookup=lookup_prefix(hashed),
                scopes=list(scopes),
                all_projects=all_projects,
                created_at=self._now_ms(),
                change=change,
            )
        )
        return key


def _require_organisation_key(kind: KeyKind) -> None:
    if kind is not KeyKind.ORGANISATION:
        raise InvalidArgument("all_projects", f"only organisation keys open several projects, not {kind} keys")


async def _known(session: AsyncSession, key_id: str, project_id: str | None) -> KeyRow:
    row = await session.get(KeyRow, key_id)
    if row is None or project_id not in (None, row.project_id):
        raise KeyUnknown(KeyUnknown.SAID)
    return row
