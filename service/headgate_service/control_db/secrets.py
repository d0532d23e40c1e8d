"""Secrets that Headgate makes for itself, once."""

from sqlalchemy import select

from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import SecretRow
from headgate_service.keys import RandomBytes

RECEIPT_SIGNING = "receipt-signing"
PII_HASHING = "pii-hashing"
TENANT_SINK_HASHING = "tenant-sink-hashing"
SECRET_BYTES = 32


class Secrets:
    """Bytes by name: made at the first call for a name, the same ever after and for every process."""

    def __init__(self, database: ControlDb, random: RandomBytes) -> None:
        self._database = database
        self._random = random

    async def get(self, name: str) -> bytes:
        """The 32 bytes of a name. Raises ControlDbUnavailable."""
        wanted = select(SecretRow.value).where(SecretRow.name == name)
        async with self._database.read() as session:
            known = await session.scalar(wanted)
        if known is not None:
            return known
        async with self._database.change() as (session, _):
            known = await session.scalar(wanted)
            if known is not None:
                return known
            made = self._random(SECRET_BYTES)
            session.add(SecretRow(name=name, value=made))
            return made
