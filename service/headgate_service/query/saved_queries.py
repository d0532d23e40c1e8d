"""Queries that people saved for the members of their project."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Select, func, select

from headgate_service.auth.audit import Author
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import MemberRow, SavedQueryRow, UserRow
from headgate_service.directory.project import Project
from headgate_service.errors import InvalidArgument, LimitReached, RoleMissing, SavedQueryUnknown
from headgate_service.model.ids import make_id
from headgate_service.model.key import RandomBytes
from headgate_service.model.principal import PrincipalKind, Role
from headgate_service.query.query import parse_query

MAX_SAVED = 500
MAX_NAME_CHARACTERS = 200
MAX_QUERY_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """`query` is the request as it was saved. `author` is an e-mail address. Times are milliseconds since 1970."""

    id: str
    project_id: str
    name: str
    query: Mapping[str, Any]
    author: str
    created_at: int
    updated_at: int


class SavedQueries:
    """Every call may raise ControlDbUnavailable."""

    def __init__(self, database: ControlDb, *, random: RandomBytes, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._random = random
        self._now_ms = now_ms

    async def of(self, project_id: str) -> Sequence[SavedQuery]:
        """Those of a project, by name."""
        wanted = _listed().where(SavedQueryRow.project_id == project_id).order_by(SavedQueryRow.name, SavedQueryRow.id)
        async with self._database.read() as session:
            return [_of(row, email) for row, email in await session.execute(wanted)]

    async def get(self, saved_id: str) -> SavedQuery:
        """Raises SavedQueryUnknown."""
        async with self._database.read() as session:
            for row, email in await session.execute(_listed().where(SavedQueryRow.id == saved_id)):
                return _of(row, email)
        raise unknown(saved_id)

    async def create(self, project: Project, name: str, query: object, by: Author) -> SavedQuery:
        """Raises QueryInvalid, QueryOverLimit, InvalidArgument, LimitReached."""
        text, now = _written(project, query), self._now_ms()
        async with self._database.change() as (session, _):
            count = select(func.count()).where(SavedQueryRow.project_id == project.id)
            if (await session.scalar(count) or 0) >= MAX_SAVED:
                raise LimitReached(f"a project has at most {MAX_SAVED} saved queries: delete one")
            row = SavedQueryRow(
                id=make_id("qry", self._random),
                project_id=project.id,
                name=_name(name),
                query=text,
                user_id=by.principal.user_id,
                created_at=now,
                updated_at=now,
            )
            session.add(row)
            by.record(session, "query.save", row.id, project.id)
            return _of(row, by.principal.email)

    async def update(self, project: Project, saved_id: str, name: str, query: object, by: Author) -> SavedQuery:
        """Raises SavedQueryUnknown, RoleMissing, QueryInvalid, QueryOverLimit, InvalidArgument."""
        text = _written(project, query)
        async with self._database.change() as (session, _):
            row = await _own(session, saved_id, by)
            row.name, row.query, row.updated_at = _name(name), text, self._now_ms()
            author = await session.get(UserRow, row.user_id) if row.user_id else None
            by.record(session, "query.change", row.id, row.project_id)
            return _of(row, author.email if author else "")

    async def delete(self, saved_id: str, by: Author) -> None:
        """Raises SavedQueryUnknown, RoleMissing."""
        async with self._database.change() as (session, _):
            row = await _own(session, saved_id, by)
            await session.delete(row)
            by.record(session, "query.delete", row.id, row.project_id)


def unknown(saved_id: str) -> SavedQueryUnknown:
    return SavedQueryUnknown(f"no saved query {saved_id[:40]}")


def _listed() -> Select[SavedQueryRow, str]:
    return select(SavedQueryRow, UserRow.email).outerjoin(UserRow, UserRow.id == SavedQueryRow.user_id)


def _of(row: SavedQueryRow, author: str | None) -> SavedQuery:
    query = orjson.loads(row.query)
    return SavedQuery(row.id, row.project_id, row.name, query, author or "", row.created_at, row.updated_at)


async def _own(session: Any, saved_id: str, by: Author) -> SavedQueryRow:
    """The row, for whoever saved it and for admins of the project. Raises SavedQueryUnknown, RoleMissing."""
    row: SavedQueryRow | None = await session.get(SavedQueryRow, saved_id)
    if row is None:
        raise unknown(saved_id)
    principal = by.principal
    if principal.kind is PrincipalKind.OPERATOR or (principal.user_id and principal.user_id == row.user_id):
        return row
    member = await session.get(MemberRow, (principal.user_id or "", row.project_id))
    if member is None or not Role(member.role).covers(Role.ADMIN):
        raise RoleMissing("whoever saved a query changes it, and admins of the project")
    return row


def _name(name: str) -> str:
    if not 1 <= len(name.strip()) <= MAX_NAME_CHARACTERS:
        raise InvalidArgument("name", f"must be 1 to {MAX_NAME_CHARACTERS} characters")
    return name.strip()


def _written(project: Project, query: object) -> str:
    parse_query(query, project.time_zone)
    text = orjson.dumps(query)
    if len(text) > MAX_QUERY_BYTES:
        raise InvalidArgument("query", f"must be at most {MAX_QUERY_BYTES} bytes")
    return text.decode()
