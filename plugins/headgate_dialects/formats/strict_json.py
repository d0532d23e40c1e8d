"""JSON as every API of Headgate reads it: what a JavaScript server takes is taken.

UTF-8; a leading byte order mark is skipped. A lone surrogate becomes U+FFFD, a number outside float64 null, what lies
deeper than MAX_DEPTH containers (the outermost counted) a marker, and the last of equal keys wins. NaN, Infinity and
torn bytes are malformed.
"""

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

MAX_DEPTH = 32
MAX_EVENT_BYTES = 64 * 1024
MAX_STRING_BYTES = 32 * 1024

# Re-encoding lengthens nothing more than `1e15`, which becomes 18 characters: a body this short has no oversize event.
_SURELY_SMALL = MAX_EVENT_BYTES // 5
# A character takes up to 6 bytes of JSON: a few such texts and such properties are no event that is oversize.
SHORT_TEXT = MAX_STRING_BYTES // 32
_SHORT_OBJECT = MAX_STRING_BYTES // 8
# Within an envelope, its array and the event.
_DEPTH_LEFT = MAX_DEPTH - 3


class Malformed(ValueError):
    """The body is not JSON, or not JSON that can be taken; the message says why, without quoting values."""


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# An escaped surrogate; the group is there where it is a pair's first and the second follows.
_ESCAPED_SURROGATE = re.compile(
    rb"(?<!\\)(?:\\\\)*\\u[dD](?:[89abAB][0-9a-fA-F]{2}(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|[c-fC-F][0-9a-fA-F]{2})"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_TRUNCATED = {"$truncated": True}


def loads(body: bytes) -> object:
    """Decode `body`, or raise Malformed. Integers keep their exact value up to 64 bits."""
    body = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        value = _mended(body, error)
    if isinstance(value, dict | list) and _brackets(body) > MAX_DEPTH:
        _cut_below(value, MAX_DEPTH)
    return value


def lone_surrogates(body: bytes) -> int:
    """How many surrogates of a JSON text have no other half: so many are replaced."""
    return sum(found[1] is None for found in _ESCAPED_SURROGATE.finditer(body))


def loads_unambiguous(body: bytes) -> object:
    """As `loads`, but an object with a key twice is malformed: for requests that change settings."""
    value = loads(body)
    json.loads(body.removeprefix(_BYTE_ORDER_MARK), object_pairs_hook=_unique, parse_int=str, parse_float=str)
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Malformed("a key appears twice in one object")
    return made


def _mended(body: bytes, error: orjson.JSONDecodeError) -> object:
    """The value where orjson refuses no more than a lone surrogate or a number outside float64."""
    try:
        value = json.loads(body.decode(), parse_float=_number, parse_int=_number, parse_constant=_refuse)
        return orjson.loads(_SURROGATE.sub("\ufffd", json.dumps(value, ensure_ascii=False)))
    except (ValueError, RecursionError):
        raise Malformed(f"not valid JSON: {error}") from None


def _number(text: str) -> int | float | None:
    # Python refuses to read very long integers; none longer than this fits in 64 bits.
    if len(text) <= 20 and text.lstrip("-").isdigit() and -(2**63) <= (integer := int(text)) < 2**64:
        return integer
    number = float(text)
    return number if math.isfinite(number) else None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def surely_strict(body: bytes, keys: int, texts: Sequence[str], objects: Sequence[bytes]) -> bool:
    """Whether `body` surely keeps the rules above and holds nothing oversize; False says nothing.

    It was decoded, by a decoder that takes nothing but JSON, into events of so many `keys` outside their properties,
    the `texts` beside those, each of at most SHORT_TEXT characters, and the properties, in up to three containers,
    which are encoded again.
    """
    encoded = b"".join(objects)
    if body.count(b":") != keys + encoded.count(b":") + "".join(texts).count(":"):
        return False
    if b"\\" in body and b"\\u003" in body:
        # A repeated key takes its colon with it, and only an escaped colon can hide that.
        return False
    if _brackets(encoded) - len(objects) >= _DEPTH_LEFT and max(map(_brackets, objects)) > _DEPTH_LEFT:
        return False
    return not may_be_oversize(body) or max(map(len, objects), default=0) < _SHORT_OBJECT


def may_be_oversize(body: bytes) -> bool:
    """False where `body` is too short to hold an oversize event, so that `oversize` need not be asked."""
    return len(body) > _SURELY_SMALL


def oversize(event: object) -> str | None:
    """Say what is too large about one decoded event, or None: the whole re-encoded compactly, or one of its strings."""
    size = len(orjson.dumps(event))
    if size > MAX_EVENT_BYTES:
        return f"the event is {size} bytes of JSON, more than {MAX_EVENT_BYTES}"
    if size > MAX_STRING_BYTES and any(len(text.encode()) > MAX_STRING_BYTES for text in _strings(event)):
        return f"a string is over {MAX_STRING_BYTES} bytes"
    return None


def _cut_below(value: dict[str, Any] | list[Any], depth: int) -> None:
    level: list[Any] = [value]
    for _ in range(depth - 1):
        level = _containers_in(level)
    for container in level:
        for key, child in container.items() if type(container) is dict else enumerate(container):
            if type(child) is dict or type(child) is list:
                container[key] = dict(_TRUNCATED)


def _containers_in(containers: Iterable[Any]) -> list[Any]:
    return [
        child
        for container in containers
        for child in (container.values() if type(container) is dict else container)
        if type(child) is dict or type(child) is list
    ]


def _brackets(encoded: bytes) -> int:
    """At least as many as there are containers, the outermost counted: brackets may stand in strings."""
    return encoded.count(b"{") + encoded.count(b"[")


def _strings(value: object) -> Iterable[str]:
    remaining = [value]
    while remaining:
        here = remaining.pop()
        if isinstance(here, str):
            yield here
        elif isinstance(here, dict):
            remaining.extend(here)
            remaining.extend(here.values())
        elif isinstance(here, list):
            remaining.extend(here)
