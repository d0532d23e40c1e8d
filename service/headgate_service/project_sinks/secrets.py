"""The secrets of tenants' sinks: in the control DB encrypted, in a config by their hash, and shown to nobody again."""

import hmac
from collections.abc import Collection, Mapping, Sequence

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import ProjectSecretRow
from headgate_service.control_db.secret_box import SecretBox, SecretUnreadable
from headgate_service.errors import PolicyInvalid
from headgate_service.failure import Fault
from headgate_service.policy.config_faults import pointer
from headgate_service.policy.project_sink import ProjectSinkConfig, Secret, StoredSecret

_HASH_CHARACTERS = 32


class ProjectSecrets:
    """`hash_key` keys the hashes, so that nobody who sees one can try which secret it is of. It never changes: the
    hash of a secret is the same after another key encrypts it."""

    def __init__(self, box: SecretBox, hash_key: bytes) -> None:
        self._box = box
        self._hash_key = hash_key

    def hash_of(self, project_id: str, text: str) -> str:
        said = b"%b\0%b" % (project_id.encode(), text.encode())
        return hmac.digest(self._hash_key, said, "sha256").hex()[:_HASH_CHARACTERS]

    async def named(
        self, session: AsyncSession, project_id: str, sinks: Sequence[ProjectSinkConfig]
    ) -> list[ProjectSinkConfig]:
        """The sinks with their secrets by hash, as a config is kept and compared. Raises PolicyInvalid where a hash is
        of no secret that the project has."""
        stored = await self._stored(session, project_id, sinks)
        faults = [
            Fault(
                pointer("sinks", place, "secrets", *inner), "is the hash of no secret of this project: give the secret"
            )
            for place, sink in enumerate(sinks)
            for inner, secret in sink.each_secret()
            if isinstance(secret, StoredSecret) and secret.hash not in stored
        ]
        if faults:
            raise PolicyInvalid(faults)
        return [sink.with_secrets(lambda secret: self._named(project_id, secret)) for sink in sinks]

    async def keep(
        self, session: AsyncSession, project_id: str, sinks: Sequence[ProjectSinkConfig], now_ms: int
    ) -> bool:
        """Stores the secrets that sinks bring, in the caller's transaction; says whether any was new, or could not be
        read any more."""
        stored = await self._stored(session, project_id, sinks)
        wrote = False
        for text in _given(sinks):
            name = self.hash_of(project_id, text)
            row = stored.get(name)
            if row is None:
                row = ProjectSecretRow(project_id=project_id, hash=name, created_at=now_ms)
                session.add(row)
            elif self._readable(row):
                continue
            row.value = self._box.seal(text, _context(project_id, name))
            wrote = True
        return wrote

    async def forget_others(self, session: AsyncSession, project_id: str, configs: Sequence[str]) -> None:
        """Deletes the secrets of a project that none of its configs, each as JSON, names."""
        of_project = select(ProjectSecretRow).where(ProjectSecretRow.project_id == project_id)
        for row in await session.scalars(of_project):
            if not any(row.hash in config for config in configs):
                await session.delete(row)

    def _readable(self, row: ProjectSecretRow) -> bool:
        try:
            self._box.open(row.value, _context(row.project_id, row.hash))
        except SecretUnreadable:
            return False
        return True

    def _named(self, project_id: str, secret: Secret) -> StoredSecret:
        if isinstance(secret, StoredSecret):
            return secret
        return StoredSecret(self.hash_of(project_id, secret.get_secret_value()))

    async def _stored(
        self, session: AsyncSession, project_id: str, sinks: Sequence[ProjectSinkConfig]
    ) -> Mapping[str, ProjectSecretRow]:
        hashes = {self._named(project_id, secret).hash for sink in sinks for _, secret in sink.each_secret()}
        if not hashes:
            return {}
        wanted = select(ProjectSecretRow).where(
            ProjectSecretRow.project_id == project_id, ProjectSecretRow.hash.in_(hashes)
        )
        return {row.hash: row for row in await session.scalars(wanted)}


class RevealedSecrets:
    """Those of some projects, to run their sinks with."""

    def __init__(self, box: SecretBox, sealed: Mapping[tuple[str, str], bytes]) -> None:
        self._box = box
        self._sealed = sealed

    @classmethod
    async def of(cls, session: AsyncSession, box: SecretBox, project_ids: Collection[str]) -> "RevealedSecrets":
        wanted = select(ProjectSecretRow).where(ProjectSecretRow.project_id.in_(project_ids))
        rows = await session.scalars(wanted) if project_ids else ()
        return cls(box, {(row.project_id, row.hash): row.value for row in rows})

    def reveal(self, project_id: str, secret: Secret) -> str:
        """Raises SecretUnreadable."""
        if not isinstance(secret, StoredSecret):
            raise SecretUnreadable("it was not stored")
        sealed = self._sealed.get((project_id, secret.hash))
        if sealed is None:
            raise SecretUnreadable("it is not in the control database")
        return self._box.open(sealed, _context(project_id, secret.hash))


async def encrypt_anew(database: ControlDb, box: SecretBox) -> int:
    """Encrypts with the box's first key what another of its keys has encrypted; returns how many secrets those were.
    What none of them opens stays as it is."""
    async with database.read() as session:
        rows = await session.scalars(select(ProjectSecretRow))
        old = [(row.project_id, row.hash) for row in rows if not box.current(row.value)]
    if not old:
        return 0
    renewed = 0
    async with database.change() as (session, _):
        for place in old:
            context = _context(*place)
            found = await session.get(ProjectSecretRow, place)
            if found is not None:
                try:
                    found.value = box.seal(box.open(found.value, context), context)
                    renewed += 1
                except SecretUnreadable:
                    continue
    return renewed


def _given(sinks: Sequence[ProjectSinkConfig]) -> set[str]:
    secrets = (secret for sink in sinks for _, secret in sink.each_secret())
    return {secret.get_secret_value() for secret in secrets if isinstance(secret, SecretStr)}


def _context(project_id: str, name: str) -> str:
    return f"{project_id} {name}"
