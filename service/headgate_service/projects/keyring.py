"""The keys of projects: how they come to be and end."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from headgate_service.auth.audit import THE_OPERATOR, Author
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import KeyRow, ProjectRow
from headgate_service.directory.project import living_project, valid_scopes
from headgate_service.errors import KeyRevoked, KeyUnknown
from headgate_service.model.ids import make_id
from headgate_service.model.key import FreshKey, KeyKind, RandomBytes, key_hash, lookup_prefix, make_key


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key without the key. Times are milliseconds since 1970; `revoked_at` is None for one that opens something."""

    id: str
    project_id: str
    kind: KeyKind
    scopes: tuple[str, ...]
    created_at: int
    revoked_at: int | None

    @classmethod
    def of(cls, row: KeyRow) -> "HeldKey":
        return cls(row.id, row.project_id, KeyKind(row.kind), tuple(row.scopes), row.created_at, row.revoked_at)


class Keyring:
    """Makes and ends keys in the control DB; every call may raise ControlDbUnavailable."""

    def __init__(self, database: ControlDb, *, random: RandomBytes, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._random = random
        self._now_ms = now_ms

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
        self, project: str, kind: KeyKind, scopes: Iterable[str] = (), by: Author = THE_OPERATOR
    ) -> FreshKey:
        """A key of a project, by its id or slug. Only organisation keys take scopes; for one without, `events:write`.

        Raises ProjectUnknown, InvalidArgument.
        """
        granted = valid_scopes(kind, scopes)
        async with self._database.change() as (session, change):
            row = await living_project(session, project)
            key = self.add(session, change, row, kind, granted)
            by.record(session, "key.create", f"{key.id} {kind}", row.id)
            return key

    async def rotate(self, project: str, key_id: str, by: Author = THE_OPERATOR) -> FreshKey:
        """A key of the same kind and scopes; the old one goes on. Raises ProjectUnknown, KeyUnknown, KeyRevoked."""
        async with self._database.change() as (session, change):
            row = await living_project(session, project)
            old = HeldKey.of(await _known(session, key_id, row.id))
            if old.revoked_at is not None:
                raise KeyRevoked(f"the key {key_id} is revoked: make another with `create`")
            key = self.add(session, change, row, old.kind, old.scopes)
            by.record(session, "key.rotate", f"{old.id} {key.id}", row.id)
            return key

    async def revoke(self, key_id: str, project_id: str | None = None, by: Author = THE_OPERATOR) -> None:
        """Ends a key, with `project_id` one of that project; ending it again is no error. Raises KeyUnknown."""
        async with self._database.change() as (session, change):
            row = await _known(session, key_id, project_id)
            if row.revoked_at is None:
                row.revoked_at, row.change = self._now_ms(), change
                by.record(session, "key.revoke", key_id, row.project_id)

    def add(
        self, session: AsyncSession, change: int, project: ProjectRow, kind: KeyKind, scopes: tuple[str, ...]
    ) -> FreshKey:
        """A key made in a change that is under way."""
        key = FreshKey(make_id("key", self._random), kind, scopes, make_key(kind, self._random))
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
                created_at=self._now_ms(),
                change=change,
            )
        )
        return key


async def _known(session: AsyncSession, key_id: str, project_id: str | None) -> KeyRow:
    row = await session.get(KeyRow, key_id)
    if row is None or project_id not in (None, row.project_id):
        raise KeyUnknown(KeyUnknown.SAID)
    return row
