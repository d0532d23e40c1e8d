"""Keys: how they are made, told from typing errors, and compared.

A key is its kind's prefix, 26 random characters (130 bits) and a tail of 6 characters that checks the rest, so that a
typing error is known for one without looking anything up. Only a SHA-256 of a key is kept. A slow hash would add
nothing: it protects secrets that people choose, and nobody guesses one of 2^130.
"""

import hashlib
import hmac
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from headgate.v1 import admin_service_pb2 as admin


class KeyKind(StrEnum):
    """What doors a key opens."""

    PUBLIC = "public"
    TEST = "test"
    SECRET = "secret"  # noqa: S105 - the name of a kind, not a credential
    ORGANISATION = "organisation"


KEY_PREFIXES: dict[KeyKind, str] = {
    KeyKind.PUBLIC: "pk_live_",
    KeyKind.TEST: "pk_test_",
    KeyKind.SECRET: "sk_live_",
    KeyKind.ORGANISATION: "org_live_",
}
WIRE_KINDS: dict[KeyKind, admin.KeyKind] = {
    KeyKind.PUBLIC: admin.KEY_KIND_PUBLIC,
    KeyKind.TEST: admin.KEY_KIND_TEST,
    KeyKind.SECRET: admin.KEY_KIND_SECRET,
    KeyKind.ORGANISATION: admin.KEY_KIND_ORGANISATION,
}
KINDS_BY_WIRE: dict[admin.KeyKind, KeyKind] = {wire: kind for kind, wire in WIRE_KINDS.items()}


EVENTS_WRITE = "events:write"
ANALYTICS_READ = "analytics:read"

SCOPES: dict[str, str] = {
    EVENTS_WRITE: "Write events",
    "content:read": "Read site pages, markdown content and llms.txt files",
    "content:write": "Write site pages and content",
    "prompts:read": "Read prompts, topics and what their analysis found",
    "prompts:write": "Write prompts",
    "simulations:read": "Read simulations: tasks, runs, environments and figures",
    "simulations:write": "Make and start simulation runs",
    "logs:read": "Read logs of AI traffic and of requests",
    ANALYTICS_READ: "Read analytics aggregates",
    "products:read": "Read products and competitors",
    "products:write": "Write product settings and competitors",
}
# What a key may do for which none was asked: what Headgate takes such keys for, and nothing besides.
DEFAULT_SCOPES = (EVENTS_WRITE,)


# Gives so many random bytes; `secrets.token_bytes` outside tests.
RandomBytes = Callable[[int], bytes]

# Without i, l, o and u, which are misread.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
RANDOM_CHARACTERS = 26
CHECK_CHARACTERS = 6
# How much of a key's hash finds its row.
LOOKUP_BYTES = 8

_BITS = 5
_LETTERS = frozenset(ALPHABET)


class KeyMalformed(Exception):
    """What was given is not a key that Headgate made: a typing error, or something else altogether."""


@dataclass(frozen=True, slots=True)
class FreshKey:
    """A key that was just made, with the only copy of its text."""

    id: str
    kind: KeyKind
    scopes: tuple[str, ...]
    text: str = field(repr=False)
    all_projects: bool = False


def make_key(kind: KeyKind, random: RandomBytes) -> str:
    """A new key of a kind."""
    return make_secret_text(KEY_PREFIXES[kind], random)


def parse_key(text: str) -> KeyKind:
    """The kind of a well-formed key. Raises KeyMalformed, which never repeats the text."""
    for kind, prefix in KEY_PREFIXES.items():
        if is_secret_text(prefix, text):
            return kind
    raise KeyMalformed("not a key that Headgate made: check it for a typing error")


def make_secret_text(prefix: str, random: RandomBytes) -> str:
    """A new text that begins so: as a key, whatever it opens."""
    body = prefix + random_text(RANDOM_CHARACTERS, random)
    return body + _check(body)


def is_secret_text(prefix: str, text: str) -> bool:
    """Whether the text begins so and is well-formed."""
    body, check = text[:-CHECK_CHARACTERS], text[-CHECK_CHARACTERS:]
    return (
        body.startswith(prefix)
        and len(body) == len(prefix) + RANDOM_CHARACTERS
        and _LETTERS.issuperset(body[len(prefix) :])
        and check == _check(body)
    )


def key_hash(text: str) -> bytes:
    """What is kept of a key: 32 bytes."""
    return hashlib.sha256(text.encode()).digest()


def lookup_prefix(hashed: bytes) -> bytes:
    """The part of a hash that rows are found by, so that no index is searched with the whole of it."""
    return hashed[:LOOKUP_BYTES]


def same_hash(one: bytes, other: bytes) -> bool:
    """Compares in a time that does not tell how much of them agrees."""
    return hmac.compare_digest(one, other)


def random_text(characters: int, random: RandomBytes) -> str:
    """So many random characters of 5 bits each."""
    size = -(-characters * _BITS // 8)
    return _spell(int.from_bytes(random(size), "big"), characters)


def _check(body: str) -> str:
    return _spell(zlib.crc32(body.encode()), CHECK_CHARACTERS)


def _spell(number: int, characters: int) -> str:
    return "".join(ALPHABET[number >> _BITS * place & 31] for place in range(characters))
