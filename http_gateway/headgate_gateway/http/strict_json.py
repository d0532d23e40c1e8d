"""JSON as every API of Headgate reads it: what is ambiguous or cannot be stored is malformed.

UTF-8 without a byte order mark; no NaN or Infinity, no number outside float64, no lone surrogate; at most MAX_DEPTH
containers inside each other, the outermost counted; no key twice in the same object at envelope or event level: the
root, the elements of a root array, and the elements of a root object's `events` array. Deeper, the last of equal keys
wins.
"""

import json
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


def loads(body: bytes) -> object:
    """Decode `body`, or raise Malformed. Integers keep their exact value up to 64 bits."""
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"not valid JSON: {error}") from None
    if not isinstance(value, dict | list):
        return value
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        raise Malformed(f"more than {MAX_DEPTH} objects and arrays inside each other")
    if _may_repeat_keys(body, value):
        _refuse_repeated_keys(body)
    return value


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


def _deeper_than(value: dict[str, Any] | list[Any], depth: int) -> bool:
    level: list[Any] = [value]
    for _ in range(depth):
        level = _containers_in(level)
        if not level:
            return False
    return True


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


def _may_repeat_keys(body: bytes, value: object) -> bool:
    # Each dropped key takes its colon with it, so equal counts mean that none was dropped; only a colon that the body
    # spells as an escape could hide one.
    return b"\\u003a" in body or b"\\u003A" in body or body.count(b":") != orjson.dumps(value).count(b":")


class _Object(dict[str, Any]):
    repeated: str | None = None


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        made.repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return made


def _refuse_repeated_keys(body: bytes) -> None:
    # Numbers are not looked at, and the standard library would refuse very long ones.
    root = json.loads(body.decode(), object_pairs_hook=_object, parse_int=len, parse_float=len)
    events = root.get("events") if isinstance(root, _Object) else root
    for candidate in (root, *(events if isinstance(events, list) else ())):
        if isinstance(candidate, _Object) and candidate.repeated is not None:
            raise Malformed(f"the key {candidate.repeated[:100]!r} appears twice in one object")


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
