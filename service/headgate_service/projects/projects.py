"""Projects: how they come to be, change and end."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from headgate_service.auth.audit import THE_OPERATOR, Author
from headgate_service.auth.passwords import Passwords
from headgate_service.auth.users import Users, valid_email
from headgate_service.config import TenantLimits
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import DeployRow, KeyRow, MemberRow, OrganisationRow, ProjectRow
from headgate_service.directory.project import (
    UTC,
    Project,
    emptiest_shard,
    living_project,
    slug_of,
    valid_monthly_limit,
    valid_name,
    valid_rate_limit,
    valid_slug,
    valid_time_zone,
)
from headgate_service.errors import LimitReached, OrganisationUnknown, SlugTaken
from headgate_service.model.ids import make_id
from headgate_service.model.key import FreshKey, KeyKind, RandomBytes, random_text
from headgate_service.model.principal import Role
from headgate_service.model.rate_limit import RateLimit
from headgate_service.owner_file import write_owner_file
from headgate_service.projects.keyring import DAY_MS, Keyring

DEFAULT = "default"
FIRST_KINDS = (KeyKind.PUBLIC, KeyKind.TEST, KeyKind.SECRET)

_MADE_SLUG_CHARACTERS = 8


class KeysUndelivered(Exception):
    """First keys could not be written down, so nothing was made."""


class Kept(Enum):
    """Stands for a part of a plan that is to stay as it is, where None means no limit."""

    AS_IT_IS = "as it is"


@dataclass(frozen=True, slots=True)
class FreshProject:
    """A project that was just made, with the only copy of its first keys."""

    project: Project
    keys: tuple[FreshKey, ...]


Deliver = Callable[[AsyncSession, FreshProject], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Ended:
    """What ended with a project: keys that opened something until then, members, deploys."""

    keys: int
    members: int
    deploys: int


class Projects:
    """Makes, changes and ends projects in the control DB; every call may raise ControlDbUnavailable."""

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
        self._keyring = Keyring(database, random=random, now_ms=now_ms)

    async def create_project(
        self,
        name: str,
        slug: str | None = None,
        monthly_limit: int | None = None,
        rate_limit: RateLimit | None = None,
        by: Author = THE_OPERATOR,
        organisation: str = "",
    ) -> FreshProject:
        """A project with a public, a test and a secret key. Without a slug the name makes one.

        A person's belongs to their organisation, and they are its owner. The operator's belongs to the organisation of
        the slug `organisation`; without one it gets a new organisation. Raises SlugTaken, InvalidArgument,
        OrganisationUnknown.
        """
        name = valid_name(name)
        slug = valid_slug(slug) if slug else slug_of(name) or self._made_slug()
        valid_monthly_limit(monthly_limit)
        valid_rate_limit(rate_limit)
        async with self._database.change() as (session, change):
            return await self._add_project(session, change, name, slug, monthly_limit, rate_limit, by, organisation)

    async def ensure_default(self, deliver: Deliver | None = None) -> FreshProject | None:
        """Makes the project `default` with its keys, once in the life of a control DB; None where it was made before.

        `deliver` gets it, and the change under way, just before the commit: keys that were written down there are never
        lost to a crash, which at worst leaves keys that do not work and are made anew at the next start. Raises
        KeysUndelivered where it fails.
        """
        try:
            async with self._database.change() as (session, change):
                made = await self._add_project(session, change, DEFAULT, DEFAULT, None, None)
                await session.flush()
                if deliver is not None:
                    await _deliver(session, made, deliver)
                return made
        except SlugTaken:
            return None

    async def get(self, project: str) -> Project:
        """A project that was not deleted, by its id or slug. Raises ProjectUnknown."""
        async with self._database.read() as session:
            return Project.of(await living_project(session, project))

    async def delete_project(self, project: str, by: Author = THE_OPERATOR) -> Ended:
        """Ends a project for good. Raises ProjectUnknown.

        Its keys are not revoked: that their project is gone closes them, and is what their holders are told.
        """
        async with self._database.change() as (session, change):
            row = await living_project(session, project)
            row.deleted_at, row.change = self._now_ms(), change
            by.record(session, "project.delete", row.slug, row.id)

            async def count(*which: ColumnElement[bool]) -> int:
                return await session.scalar(select(func.count()).where(*which)) or 0

            return Ended(
                keys=await count(KeyRow.project_id == row.id, KeyRow.revoked_at.is_(None)),
                members=await count(MemberRow.project_id == row.id),
                deploys=await count(DeployRow.project_id == row.id),
            )

    async def update_project(
        self, project: str, name: str | None = None, time_zone: str | None = None, by: Author = THE_OPERATOR
    ) -> Project:
        """Changes what is given of a project, by its id or slug. Raises ProjectUnknown, InvalidArgument."""
        name = None if name is None else valid_name(name)
        time_zone = None if time_zone is None else valid_time_zone(time_zone)
        async with self._database.change() as (session, change):
            row = await living_project(session, project)
            row.name = name or row.name
            row.time_zone = time_zone or row.time_zone
            row.change = change
            by.record(session, "project.update", row.slug, row.id)
            return Project.of(row)

    async def set_plan(
        self,
        project: str,
        monthly_limit: int | Kept | None = Kept.AS_IT_IS,
        rate_limit: RateLimit | Kept | None = Kept.AS_IT_IS,
        by: Author = THE_OPERATOR,
    ) -> Project:
        """Changes what a project, by its id or slug, may send; every service obeys once its directory is fresh.

        A monthly limit of None is none, a rate limit of None the operator's default. A limit below what was used this
        month refuses until the next; a rate limit with a window of another length begins anew. Raises ProjectUnknown,
        InvalidArgument.
        """
        if monthly_limit is not Kept.AS_IT_IS:
            valid_monthly_limit(monthly_limit)
        if rate_limit is not Kept.AS_IT_IS:
            valid_rate_limit(rate_limit)
        async with self._database.change() as (session, change):
            row = await living_project(session, project)
            if monthly_limit is not Kept.AS_IT_IS:
                row.monthly_limit = monthly_limit
            if rate_limit is not Kept.AS_IT_IS:
                row.rate_requests = rate_limit.requests if rate_limit else None
                row.rate_window_ms = rate_limit.window_ms if rate_limit else None
            row.change = change
            by.record(session, "plan.set", _plan(row), row.id)
            return Project.of(row)

    async def _add_project(
        self,
        session: AsyncSession,
        change: int,
        name: str,
        slug: str,
        monthly_limit: int | None,
        rate_limit: RateLimit | None,
        by: Author = THE_OPERATOR,
        organisation: str = "",
    ) -> FreshProject:
        if by.principal.organisation_id:
            await self._require_room(session, by.principal.organisation_id)
        if await session.scalar(select(ProjectRow.id).where(ProjectRow.slug == slug)):
            raise SlugTaken(f"the slug {slug} is taken: give another")
        counts = await session.execute(select(ProjectRow.shard, func.count()).group_by(ProjectRow.shard))
        row = ProjectRow(
            id=make_id("prj", self._random),
            slug=slug,
            name=name,
            organisation_id=by.principal.organisation_id
            or await self._organisation(session, change, organisation, slug, name),
            shard=emptiest_shard(dict(counts.all())),
            monthly_limit=monthly_limit,
            rate_requests=rate_limit.requests if rate_limit else None,
            rate_window_ms=rate_limit.window_ms if rate_limit else None,
            time_zone=UTC,
            created_at=self._now_ms(),
            change=change,
        )
        session.add(row)
        await session.flush()
        if by.principal.user_id is not None:
            owner = MemberRow(
                user_id=by.principal.user_id, project_id=row.id, role=Role.OWNER.value, created_at=row.created_at
            )
            session.add(owner)
        by.record(session, "project.create", slug, row.id)
        keys = tuple(self._keyring.add(session, change, row, kind, ()) for kind in FIRST_KINDS)
        return FreshProject(Project.of(row), keys)

    async def _require_room(self, session: AsyncSession, organisation_id: str) -> None:
        # Those made today count although they are deleted: rows of deleted projects stay.
        lately = self._now_ms() - DAY_MS
        known = select(func.count()).where(
            ProjectRow.organisation_id == organisation_id,
            ProjectRow.deleted_at.is_(None) | (ProjectRow.created_at > lately),
        )
        if (await session.scalar(known) or 0) >= self._limits.projects:
            raise LimitReached(
                f"the organisation has or made today {self._limits.projects} projects, the most that the operator "
                "allows (`tenants.projects`)"
            )

    async def _organisation(self, session: AsyncSession, change: int, wanted: str, slug: str, name: str) -> str:
        """The id of the organisation of the slug `wanted`; without one, of a new one that is called as its project."""
        of_slug = select(OrganisationRow).where(OrganisationRow.slug == (wanted or slug))
        known = await session.scalar(of_slug)
        if wanted:
            if known is None or known.deleted_at is not None:
                raise OrganisationUnknown(f"no organisation has the slug {wanted}")
            return known.id
        made = OrganisationRow(
            id=make_id("org", self._random),
            slug=slug if known is None else f"org-{random_text(_MADE_SLUG_CHARACTERS, self._random)}",
            name=name,
            created_at=self._now_ms(),
            change=change,
        )
        session.add(made)
        await session.flush()
        return made.id

    def _made_slug(self) -> str:
        return f"project-{random_text(_MADE_SLUG_CHARACTERS, self._random)}"


def _plan(row: ProjectRow) -> str:
    rate = f"{row.rate_requests}/{(row.rate_window_ms or 0) // 1000}s" if row.rate_requests else "default"
    return f"{row.monthly_limit or 'no limit of'} events a month, rate {rate}"


async def _deliver(session: AsyncSession, made: FreshProject, deliver: Deliver) -> None:
    try:
        await deliver(session, made)
    except OSError as error:
        raise KeysUndelivered(f"the first project's keys cannot be written down: {error}") from error


def remove_first_start(file: Path, email: str) -> bool:
    """Removes the first start's file if the password in it is that of this account, which has changed; says whether."""
    try:
        if json.loads(file.read_bytes())["owner"]["email"] != email:
            return False
        file.unlink()
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return True


_PASSWORD_CHARACTERS = 24


class FirstStart:
    """Makes the owner's account in the change that makes the project, and writes the file just before its commit."""

    def __init__(self, file: Path, email: str, users: Users, passwords: Passwords, random: RandomBytes) -> None:
        self._file = file
        self._email = valid_email(email)
        self._users = users
        self._passwords = passwords
        self._random = random

    async def deliver(self, session: AsyncSession, made: FreshProject) -> None:
        """Raises OSError where the file cannot be written."""
        password = random_text(_PASSWORD_CHARACTERS, self._random)
        kept = await self._passwords.hash(password)
        project = made.project
        await self._users.add(session, self._email, kept, {project.id: Role.OWNER}, project.organisation_id)
        await session.flush()
        self._write(made, {"email": self._email, "password": password})

    def _write(self, made: FreshProject, owner: Mapping[str, str]) -> None:
        keys = {key.kind.value: key.text for key in made.keys}
        project = {"id": made.project.id, "slug": made.project.slug}
        write_owner_file(self._file, {"project": project, "keys": keys, "owner": owner})

    def whole(self) -> bool:
        """Whether the file is as it was written, or not there: whoever has read it deletes it."""
        try:
            return bool({"project", "keys", "owner"} <= json.loads(self._file.read_bytes()).keys())
        except OSError:
            return True
        except (ValueError, AttributeError):
            return False
