"""Users: how they come to be, change and end."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from headgate_service.auth.audit import UNKNOWN_ORIGIN, CallOrigin, record
from headgate_service.auth.passwords import Passwords, valid_password
from headgate_service.auth.sessions import Sessions
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import CliTokenRow, MemberRow, OrganisationRow, UserRow
from headgate_service.directory.project import living_project
from headgate_service.errors import EmailTaken, InvalidArgument, OrganisationUnknown, UserUnknown
from headgate_service.model.ids import make_id
from headgate_service.model.key import RandomBytes, random_text
from headgate_service.model.principal import OPERATOR, Principal, Role

MAX_CHARACTERS = 254
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,253}")


def valid_email(text: str) -> str:
    """The address in lower case. Raises InvalidArgument."""
    email = canonical_email(text)
    if not email:
        raise InvalidArgument("email", f"must be an e-mail address of at most {MAX_CHARACTERS} characters")
    return email


def canonical_email(text: str) -> str:
    """The address in lower case; empty where it is none, and so nobody's."""
    email = text.strip().lower()
    return email if len(email) <= MAX_CHARACTERS and _EMAIL.fullmatch(email) and email.isprintable() else ""


_SLUG_CHARACTERS = 10


@dataclass(frozen=True, slots=True)
class User:
    """A person."""

    id: str
    email: str
    organisation_id: str

    @classmethod
    def of(cls, row: UserRow) -> "User":
        return cls(row.id, row.email, row.organisation_id)


class Users:
    """Every call may raise ControlDbUnavailable, and those with a password HashingBusy and InvalidArgument."""

    def __init__(
        self,
        database: ControlDb,
        passwords: Passwords,
        sessions: Sessions,
        *,
        random: RandomBytes,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._sessions = sessions
        self._random = random
        self._now_ms = now_ms

    async def create(
        self,
        email: str,
        password: str,
        members: Mapping[str, Role] | None = None,
        organisation: str = "",
        by: Principal = OPERATOR,
    ) -> User:
        """A person with roles in projects, by id or slug; of the organisation of that slug, else of one of their own.

        Raises EmailTaken, ProjectUnknown, OrganisationUnknown.
        """
        email, kept = valid_email(email), await self._passwords.hash(valid_password(password, email))
        async with self._database.change() as (session, change):
            of = await self._organisation(session, change, organisation, email)
            return await self.add(session, email, kept, members or {}, of, by)

    async def add(
        self,
        session: AsyncSession,
        email: str,
        kept: str,
        members: Mapping[str, Role],
        organisation_id: str,
        by: Principal = OPERATOR,
    ) -> User:
        """As `create`, in a change that is under way, with a hashed password and an organisation's id."""
        if await session.scalar(select(UserRow.id).where(UserRow.email == email)):
            raise EmailTaken(f"somebody has the address {email} already")
        row = UserRow(
            id=make_id("usr", self._random),
            email=email,
            password=kept,
            organisation_id=organisation_id,
            created_at=self._now_ms(),
        )
        session.add(row)
        await session.flush()
        record(session, by, "user.create", email, now_ms=self._now_ms())
        for name, role in members.items():
            project = await living_project(session, name)
            session.add(MemberRow(user_id=row.id, project_id=project.id, role=role.value, created_at=self._now_ms()))
            target = f"{email} {role.value}"
            record(session, by, "member.set", target, project_id=project.id, now_ms=self._now_ms())
        return User.of(row)

    async def disable(self, email_or_id: str, by: Principal = OPERATOR) -> User:
        """Disable a user account and end its sessions and tokens; repeating is not an error. Raises UserUnknown."""
        async with self._database.change() as (session, _):
            row = await _known(session, email_or_id)
            if row.disabled_at is None:
                row.disabled_at = self._now_ms()
                record(session, by, "user.disable", row.email, now_ms=row.disabled_at)
            await self._end_all(session, row.id)
            return User.of(row)

    async def unlock(self, email_or_id: str, by: Principal = OPERATOR) -> User:
        """Records that the attempts at an account are to be forgotten. Raises UserUnknown."""
        async with self._database.change() as (session, _):
            row = await _known(session, email_or_id)
            record(session, by, "user.unlock", row.email, now_ms=self._now_ms())
            return User.of(row)

    async def set_password(self, email_or_id: str, password: str, by: Principal = OPERATOR) -> User:
        """Gives a person another password, enables the account, and ends its sessions. Raises UserUnknown."""
        kept = await self._passwords.hash(valid_password(password))
        async with self._database.change() as (session, _):
            row = await _known(session, email_or_id)
            row.password, row.disabled_at = kept, None
            await self._end_all(session, row.id)
            record(session, by, "user.password", row.email, now_ms=self._now_ms())
            return User.of(row)

    async def change_password(self, person: Principal, kept: str, origin: CallOrigin = UNKNOWN_ORIGIN) -> None:
        """Keeps a person's new password, and ends their other sessions and tokens. Raises UserUnknown."""
        async with self._database.change() as (session, _):
            row = await _known(session, person.user_id or "")
            row.password = kept
            await self._end_all(session, row.id, but=person.credential_id)
            record(session, person, "user.password", row.email, origin, now_ms=self._now_ms())

    async def _end_all(self, session: AsyncSession, user_id: str, but: str = "") -> None:
        await self._sessions.end_of(session, user_id, but)
        await session.execute(delete(CliTokenRow).where(CliTokenRow.user_id == user_id))

    async def _organisation(self, session: AsyncSession, change: int, slug: str, email: str) -> str:
        if slug:
            wanted = select(OrganisationRow.id).where(
                OrganisationRow.slug == slug, OrganisationRow.deleted_at.is_(None)
            )
            if (known := await session.scalar(wanted)) is None:
                raise OrganisationUnknown(f"no organisation has the slug {slug}")
            return known
        made = OrganisationRow(
            id=make_id("org", self._random),
            slug=f"org-{random_text(_SLUG_CHARACTERS, self._random)}",
            name=email[:100],
            created_at=self._now_ms(),
            change=change,
        )
        session.add(made)
        await session.flush()
        return made.id


async def _known(session: AsyncSession, email_or_id: str) -> UserRow:
    row = await session.scalar(
        select(UserRow).where((UserRow.id == email_or_id) | (UserRow.email == (canonical_email(email_or_id) or "-")))
    )
    if row is None:
        raise UserUnknown(f"nobody here is called {email_or_id}")
    return row
