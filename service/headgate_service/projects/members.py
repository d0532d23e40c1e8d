"""The members of projects: who they are, how they come and go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from headgate_service.auth.audit import Author
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import MemberRow, UserRow
from headgate_service.directory.project import living_project
from headgate_service.errors import LastOwner, MemberUnknown, ProjectUnknown, RoleMissing, UserUnknown
from headgate_service.model.principal import PrincipalKind, Role


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """A person's role in a project before and after, None where they are no member.

    `caller` is the caller's own role, None for the operator; `owners` is how many the project has before; `own`: the
    caller changes their own membership.
    """

    before: Role | None
    after: Role | None
    caller: Role | None
    owners: int
    own: bool = False

    def check(self) -> None:
        """Raises RoleMissing, LastOwner."""
        leaves = self.own and self.after is None
        if self.caller is not None and not leaves and not self.caller.covers(Role.ADMIN):
            raise RoleMissing("members are changed by admins and owners")
        if Role.OWNER in (self.before, self.after) and self.caller not in (None, Role.OWNER):
            raise RoleMissing("only owners make and unmake owners")
        if self.before is Role.OWNER and self.after is not Role.OWNER and self.owners <= 1:
            raise LastOwner("this is the last owner: make another one first, or delete the project")


@dataclass(frozen=True, slots=True)
class Member:
    """`since` is milliseconds since 1970."""

    user_id: str
    email: str
    role: Role
    since: int


class Members:
    """Every call may raise ControlDbUnavailable, and one that changes something ProjectUnknown, RoleMissing, LastOwner.

    A project is named by id, a person by e-mail address or id.
    """

    def __init__(self, database: ControlDb, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    async def of(self, project_id: str) -> Sequence[Member]:
        """A project's members, owners first."""
        async with self._database.read() as session:
            found = await session.execute(
                select(MemberRow, UserRow.email)
                .join(UserRow, UserRow.id == MemberRow.user_id)
                .where(MemberRow.project_id == project_id)
            )
            members = [Member(row.user_id, email, Role(row.role), row.created_at) for row, email in found]
        order = list(Role)
        return sorted(members, key=lambda member: (-order.index(member.role), member.email))

    async def set(self, project_id: str, user: str, role: Role, by: Author) -> Member:
        """Gives a member another role; the operator also makes a person a member, whom others invite. Raises
        MemberUnknown, and UserUnknown for the operator."""
        async with self._database.change() as (session, _):
            await living_project(session, project_id)
            person = await _person(session, user)
            row = await session.get(MemberRow, (person.id, project_id)) if person else None
            if row is None and await _role_of(session, project_id, by) is not None:
                # The same for those who have no account.
                raise MemberUnknown(f"{user} is not a member of the project: invite them")
            if person is None or (row is None and person.disabled_at is not None):
                raise UserUnknown(f"nobody is called {user}: the operator makes users")
            before = Role(row.role) if row else None
            (await _change(session, project_id, person.id, before, role, by)).check()
            if row is None:
                row = MemberRow(user_id=person.id, project_id=project_id, created_at=self._now_ms())
                session.add(row)
            row.role = role.value
            if before is not role:
                by.record(session, "member.set", f"{person.email} {role}", project_id)
            return Member(person.id, person.email, role, row.created_at)

    async def remove(self, project_id: str, user: str, by: Author) -> None:
        """Ends a membership. Raises MemberUnknown."""
        async with self._database.change() as (session, _):
            await living_project(session, project_id)
            person = await _person(session, user)
            row = await session.get(MemberRow, (person.id, project_id)) if person else None
            if person is None or row is None:
                raise MemberUnknown(f"{user} is not a member of the project")
            (await _change(session, project_id, person.id, Role(row.role), None, by)).check()
            await session.delete(row)
            by.record(session, "member.remove", person.email, project_id)


async def _change(
    session: AsyncSession, project_id: str, user_id: str, before: Role | None, after: Role | None, by: Author
) -> MembershipChange:
    # Owners who were disabled can do nothing for the project.
    owners = (
        select(func.count())
        .select_from(MemberRow)
        .join(UserRow, UserRow.id == MemberRow.user_id)
        .where(
            MemberRow.project_id == project_id,
            MemberRow.role == Role.OWNER.value,
            or_(UserRow.disabled_at.is_(None), UserRow.id == user_id),
        )
    )
    return MembershipChange(
        before,
        after,
        await _role_of(session, project_id, by),
        await session.scalar(owners) or 0,
        own=user_id == by.principal.user_id,
    )


async def _role_of(session: AsyncSession, project_id: str, by: Author) -> Role | None:
    if by.principal.kind is PrincipalKind.OPERATOR:
        return None
    row = await session.get(MemberRow, (by.principal.user_id or "", project_id))
    if row is None:
        # It ended since the caller was let in.
        raise ProjectUnknown(f"no project {project_id}: give its slug or id")
    return Role(row.role)


async def _person(session: AsyncSession, email_or_id: str) -> UserRow | None:
    return await session.scalar(
        select(UserRow).where(or_(UserRow.id == email_or_id, UserRow.email == email_or_id.strip().lower()))
    )
