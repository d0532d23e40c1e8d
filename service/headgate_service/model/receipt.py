"""Receipts: where in the log the events of one request are, in a form that only Headgate can make."""

import base64
import binascii
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

PREFIX = "rcpt_"
MAX_RANGES = 16
_TAG_BYTES = 12


class ReceiptInvalid(Exception):
    """What was given is not a receipt made here."""


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """What a receipt knows.

    `ranges` are (before, last) ordinals of the project's accepted events: those the request added, or, where it held
    nothing but duplicates, those that were stored first; none where all were dropped. `ms` is when they became durable.
    """

    project_id: str
    shard: int
    ms: int
    received: int
    accepted: int
    duplicate: int
    refused: int
    ranges: tuple[tuple[int, int], ...]
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class ReceiptMaker:
    """Signs receipts and reads them back. `secret` is 32 to 64 random bytes, the same in every process."""

    secret: bytes

    def make(self, receipt: Receipt) -> str:
        body = _encoder.encode(receipt)
        return PREFIX + base64.urlsafe_b64encode(self._tag(body) + body).rstrip(b"=").decode()

    def read(self, text: str) -> Receipt:
        """Raises ReceiptInvalid."""
        packed = text.removeprefix(PREFIX)
        try:
            raw = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
            tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
            if text.startswith(PREFIX) and hmac.compare_digest(tag, self._tag(body)):
                return _decoder.decode(body)
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            pass
        raise ReceiptInvalid("not a receipt made here: give it as the Headgate-Receipt header bore it")

    def _tag(self, body: bytes) -> bytes:
        # BLAKE2 takes a key by itself; HMAC with SHA-256 costs eight times as much of a request's time.
        return blake2b(body, key=self.secret, digest_size=_TAG_BYTES).digest()

    def __repr__(self) -> str:
        return "ReceiptMaker(...)"


def runs(ordinals: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Ordinals as (before, last) ranges, ascending; at most 16, the first ones."""
    found: list[tuple[int, int]] = []
    for ordinal in sorted(set(ordinals)):
        if found and found[-1][1] == ordinal - 1:
            found[-1] = (found[-1][0], ordinal)
        elif len(found) == MAX_RANGES:
            break
        else:
            found.append((ordinal - 1, ordinal))
    return tuple(found)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Receipt)
