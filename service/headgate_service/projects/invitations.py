"""Invitations: nobody becomes a member without consent, and nobody learns by one who has an account."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from headgate_service.auth.audit import Author
from headgate_service.auth.sessions import SecretText
from headgate_service.auth.users import valid_email
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import InvitationRow, MemberRow, ProjectRow, UserRow
from headgate_service.directory.project import living_project
from headgate_service.errors import InvitationUnknown, LimitReached, RoleMissing
from headgate_service.model.ids import make_id
from headgate_service.model.key import RandomBytes, key_hash
from headgate_service.model.principal import Role

LASTS_MS = 7 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Invitation:
    """One that is open. Times are milliseconds since 1970; `author` is an e-mail address, empty for the operator."""

    id: str
    project_id: str
    slug: str
    project_name: str
    email: str
    role: Role
    author: str
    created_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class FreshInvitation:
    """One that was just made, with the only copy of its text."""

    invitation: Invitation
    text: str = field(repr=False)


class Invitations:
    """Every call may raise ControlDbUnavailable. At most `most` of a project are open."""

    def __init__(self, database: ControlDb, *, random: RandomBytes, now_ms: Callable[[], int], most: int = 100) -> None:
        self._database = database
        self._random = random
        self._now_ms = now_ms
        self._most = most

    async def create(self, project_id: str, email: str, role: Role, by: Author) -> FreshInvitation:
        """Invites a person, in place of an earlier invitation of theirs. Does the same whether or not they have an
        account. Raises ProjectUnknown, RoleMissing, InvalidArgument, LimitReached."""
        address, now = valid_email(email), self._now_ms()
        async with self._database.change() as (session, _):
            await living_project(session, project_id)
            if not await _may_invite(session, project_id, by.principal.user_id, role):
                raise RoleMissing("admins and owners invite people, and only owners invite owners")
            before = (InvitationRow.project_id == project_id) & (InvitationRow.email == address)
            await session.execute(delete(InvitationRow).where(before | (InvitationRow.expires_at <= now)))
            opened = select(func.count()).where(InvitationRow.project_id == project_id)
            if (await session.scalar(opened) or 0) >= self._most:
                raise LimitReached(
                    f"{self._most} invitations of the project are open, the most that the operator allows "
                    "(`tenants.invitations`)"
                )
            text = SecretText.INVITATION.make(self._random)
            row = InvitationRow(
                id=make_id("inv", self._random),
                project_id=project_id,
                email=address,
                role=role.value,
                hash=key_hash(text),
                user_id=by.principal.user_id,
                created_at=now,
                expires_at=now + LASTS_MS,
            )
            session.add(row)
            await session.flush()
            by.record(session, "member.invite", f"{address} {role}", project_id)
            made = (await session.execute(_listed().where(InvitationRow.id == row.id))).one()
            return FreshInvitation(_of(made), text)

    async def of(self, project_id: str) -> Sequence[Invitation]:
        """The open ones of a project, the oldest first."""
        opened = _listed().where(InvitationRow.project_id == project_id, InvitationRow.expires_at > self._now_ms())
        async with self._database.read() as session:
            return [_of(row) for row in await session.execute(opened.order_by(InvitationRow.created_at))]

    async def delete(self, project_id: str, invitation_id: str, by: Author) -> None:
        """Takes one back. Raises InvitationUnknown."""
        async with self._database.change() as (session, _):
            row = await session.get(InvitationRow, invitation_id)
            if row is None or row.project_id != project_id:
                raise InvitationUnknown("no such invitation of the project is open")
            await session.delete(row)
            by.record(session, "invitation.delete", row.email, project_id)

    async def get(self, text: str, by: Author) -> Invitation:
        """The one of a text, for the person it was made for. Raises InvitationUnknown."""
        async with self._database.read() as session:
            return (await self._find(session, text, by))[0]

    async def answer(self, text: str, accept: bool, by: Author) -> Invitation:
        """Makes the person a member if they accept, and ends the invitation. Raises InvitationUnknown.

        A person who is a member already with a higher role keeps it.
        """
        async with self._database.change() as (session, _):
            invitation, row = await self._find(session, text, by)
            await session.delete(row)
            if not accept:
                by.record(session, "invitation.decline", f"{invitation.email} {invitation.role}", invitation.project_id)
                return invitation
            user_id = by.principal.user_id or ""
            member = await session.get(MemberRow, (user_id, invitation.project_id))
            if member is None:
                member = MemberRow(
                    user_id=user_id,
                    project_id=invitation.project_id,
                    role=invitation.role.value,
                    created_at=self._now_ms(),
                )
                session.add(member)
            elif not Role(member.role).covers(invitation.role):
                member.role = invitation.role.value
            by.record(session, "invitation.accept", f"{invitation.email} {invitation.role}", invitation.project_id)
            return invitation

    async def _find(self, session: AsyncSession, text: str, by: Author) -> tuple[Invitation, InvitationRow]:
        unknown = InvitationUnknown("no such invitation is open for you: ask for another one")
        if not SecretText.INVITATION.fits(text) or by.principal.user_id is None:
            raise unknown
        opened = _listed().where(
            InvitationRow.hash == key_hash(text),
            InvitationRow.email == by.principal.email,
            InvitationRow.expires_at > self._now_ms(),
        )
        found = (await session.execute(opened)).first()
        if found is None:
            raise unknown
        row: InvitationRow = found[0]
        # Whoever invited must still be allowed to.
        if not await _may_invite(session, row.project_id, row.user_id, Role(row.role)):
            raise unknown
        return _of(found), row


def _listed() -> Select[InvitationRow, str, str, str]:
    return (
        select(InvitationRow, ProjectRow.slug, ProjectRow.name, UserRow.email)
        .join(ProjectRow, ProjectRow.id == InvitationRow.project_id)
        .outerjoin(UserRow, UserRow.id == InvitationRow.user_id)
        .where(ProjectRow.deleted_at.is_(None))
    )


def _of(found: Any) -> Invitation:
    row, slug, name, author = found
    return Invitation(
        row.id, row.project_id, slug, name, row.email, Role(row.role), author or "", row.created_at, row.expires_at
    )


async def _may_invite(session: AsyncSession, project_id: str, user_id: str | None, role: Role) -> bool:
    """Whether a person may invite to a role; None stands for the operator."""
    if user_id is None:
        return True
    row = await session.get(MemberRow, (user_id, project_id))
    user = await session.get(UserRow, user_id)
    if row is None or user is None or user.disabled_at is not None:
        return False
    return Role(row.role).covers(Role.OWNER if role is Role.OWNER else Role.ADMIN)
