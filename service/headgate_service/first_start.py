"""What the first start makes: the project `default` with its keys, an owner of it, and the file that names them."""

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from headgate_service.access.role import Role
from headgate_service.accounts.emails import valid_email
from headgate_service.accounts.passwords import Passwords
from headgate_service.accounts.users import Users
from headgate_service.keys import RandomBytes, random_text
from headgate_service.owner_file import write_owner_file
from headgate_service.projects import FreshProject

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
