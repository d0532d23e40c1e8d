"""Encrypts what the control DB keeps for tenants, so that a copy of the database alone shows nothing of it."""

import base64
import hashlib
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select

from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import SecretRow
from headgate_service.model.key import RandomBytes

RECEIPT_SIGNING = "receipt-signing"
PII_HASHING = "pii-hashing"
PROJECT_SINK_HASHING = "tenant-sink-hashing"
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


KEY_BYTES = 32
_FORM = b"\x01"
_ID_BYTES, _NONCE_BYTES = 4, 12


class SecretsKeyInvalid(Exception):
    """What was given is not a key."""


class SecretUnreadable(Exception):
    """A secret was encrypted under a key that is not here, or was changed since."""


class SecretBox:
    """Encrypts (AES-256-GCM) with the first of its keys, and opens what any of them has encrypted. Raises
    SecretsKeyInvalid."""

    def __init__(self, keys: Sequence[bytes], random: RandomBytes) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise SecretsKeyInvalid(f"a key has {KEY_BYTES} bytes")
        self._ciphers = {_key_id(key): AESGCM(key) for key in reversed(keys)}
        self._first = _key_id(keys[0])
        self._random = random

    def seal(self, text: str, context: str) -> bytes:
        """`context` says what the text is, and must be given again to open it: nothing opens in another's place."""
        nonce = self._random(_NONCE_BYTES)
        sealed = self._ciphers[self._first].encrypt(nonce, text.encode(), context.encode())
        return _FORM + self._first + nonce + sealed

    def open(self, sealed: bytes, context: str) -> str:
        """Raises SecretUnreadable."""
        form, key_id, nonce, rest = _parts(sealed)
        cipher = self._ciphers.get(key_id)
        if form != _FORM or cipher is None:
            raise SecretUnreadable("it was encrypted under another key than `control.secrets_key`")
        try:
            return cipher.decrypt(nonce, rest, context.encode()).decode()
        # A ValueError where parts of it are missing.
        except (InvalidTag, ValueError):
            raise SecretUnreadable("it was changed in the control database") from None

    def current(self, sealed: bytes) -> bool:
        """Whether it was encrypted with the first key."""
        return _parts(sealed)[:2] == (_FORM, self._first)


def read_keys(text: str) -> list[bytes]:
    """Keys in base64, separated by commas. Raises SecretsKeyInvalid."""
    try:
        keys = [base64.b64decode(one.strip(), validate=True) for one in text.split(",")]
    except ValueError:
        keys = []
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise SecretsKeyInvalid(
            f"must be the base64 of {KEY_BYTES} random bytes, as `openssl rand -base64 {KEY_BYTES}` makes them, or"
            " several of these separated by commas: the first encrypts, all of them decrypt"
        )
    return keys


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"headgate secrets key " + key).digest()[:_ID_BYTES]


def _parts(sealed: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    id_ends = 1 + _ID_BYTES
    nonce_ends = id_ends + _NONCE_BYTES
    return sealed[:1], sealed[1:id_ends], sealed[id_ends:nonce_ends], sealed[nonce_ends:]
