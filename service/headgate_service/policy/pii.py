"""Personal data out of events: dropped, hashed or masked before anything is written anywhere."""

import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from urllib.parse import quote, unquote_plus

import orjson
from headgate.v1 import event_pb2

from headgate_service.model.event_rules import complete_user
from headgate_service.policy.paths import DROP, PROPERTIES, CanonicalField, Change, change, each_leaf, url_of

_FIRST_24 = 0xFFFFFF00
_FIRST_48 = (2**48 - 1) << 80


class IpRule(StrEnum):
    """Keep it, keep its network, or drop it."""

    KEEP = "keep"
    TRUNCATE = "truncate"
    DROP = "drop"


def ruled_ip(text: str, rule: IpRule) -> str:
    """The address as it may be stored. Truncated: the first address of its /24, or /48 for IPv6; what is not an address
    cannot be truncated and is dropped."""
    if rule is IpRule.KEEP:
        return text
    if rule is IpRule.DROP:
        return ""
    try:
        address = ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return ""
    return _network(address)


def _network(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return str(IPv6Address(int(address) & _FIRST_48))
        address = address.ipv4_mapped
    return str(IPv4Address(int(address) & _FIRST_24))


def changed_address(text: str, part: str, new: Callable[[Any], Any]) -> str:
    """An address with a part of it replaced: `fragment`, `query` (each of its values) or `query.NAME`."""
    rest, hash_mark, fragment = text.partition("#")
    if part == "fragment":
        made: Any = new(unquote_plus(fragment)) if fragment else DROP
        return rest if made is DROP else f"{rest}#{quote(made)}"
    before, question, query = rest.partition("?")
    if not question:
        return text
    name = part.removeprefix("query").removeprefix(".")
    pairs = [_changed_pair(pair, name, new) for pair in query.split("&")]
    kept = "&".join(pair for pair in pairs if pair)
    return f"{before}{question if kept else ''}{kept}{hash_mark}{fragment}"


def _changed_pair(pair: str, name: str, new: Callable[[Any], Any]) -> str:
    key, equals, value = pair.partition("=")
    if name and unquote_plus(key) != name:
        return pair
    made = new(unquote_plus(value))
    if made is DROP:
        return ""
    return f"{key}={quote(made)}" if equals else pair if name else quote(new(unquote_plus(key)))


MASK = "***"
HASH_CHARACTERS = 32
MAX_HASHED = 1_000

_DISTINCT = CanonicalField.of("distinct_id")
_ADDRESS = CanonicalField.of("request.client_ip")
_HREF, _SENT_HREF = "page.href", "page.sent_href"
# Whom `distinct_id` is a copy of, where the client did not name anybody: a rule on the one must hold for the copy.
_PEOPLE = frozenset({"user_id", "anonymous_id", "session_id"})

Apply = Callable[[event_pb2.Event], None]


class PiiAction(StrEnum):
    """What becomes of a value."""

    DROP = "drop"
    HASH = "hash"
    MASK = "mask"


@dataclass(frozen=True, slots=True)
class PiiRule:
    """What becomes of the value at `path`: a canonical text, a part of an address, or a path into the properties."""

    path: str
    action: PiiAction


class Pii:
    """Applies rules in order. `hash_key` is the project's own, so that hashes of two projects tell nothing together."""

    def __init__(self, rules: Sequence[PiiRule], ip: IpRule, hash_key: bytes) -> None:
        self._hash_key = hash_key
        self._ip = ip
        self._canonical = [self._applied(rule) for rule in _with_sent(rules) if not _in_properties(rule)]
        self._inner: list[tuple[tuple[str, ...], PiiAction]] = []
        self._whole: list[PiiAction] = []
        for rule in rules:
            path = tuple(rule.path.split("."))[1:]
            if _in_properties(rule) and path:
                self._inner.append((path, rule.action))
            elif _in_properties(rule):
                self._whole.append(rule.action)

    @property
    def idle(self) -> bool:
        """Whether it changes nothing."""
        return not (self._canonical or self.reads_properties or self._ip is not IpRule.KEEP)

    @property
    def steps(self) -> int:
        """Of all its paths into the properties together."""
        return sum(len(path) for path, _ in self._inner)

    @property
    def reads_properties(self) -> bool:
        return bool(self._inner or self._whole)

    def apply(self, event: event_pb2.Event, properties: dict[str, Any] | None) -> None:
        """Changes an event in place. `properties` are those of the event, read; needed where rules look at them."""
        if self._canonical:
            for apply in self._canonical:
                apply(event)
            complete_user(event)
        if self._ip is not IpRule.KEEP and event.HasField("request") and event.request.client_ip:
            _ADDRESS.set(event, ruled_ip(event.request.client_ip, self._ip))
        if properties and self.reads_properties:
            self._change_properties(event, properties)

    def _change_properties(self, event: event_pb2.Event, properties: dict[str, Any]) -> None:
        left = iter(range(MAX_HASHED))

        def hashed(leaf: Any) -> str:
            # A hash takes 4 us, and an event may hold ten thousand values: what is beyond is hidden all the same.
            return MASK if next(left, None) is None else self._hashed(leaf)

        found = [change(properties, path, _change(action, hashed)) for path, action in self._inner]
        kept: Any = properties
        for action in self._whole:
            kept = _change(action, hashed)(kept)
            if kept is DROP:
                event.ClearField("properties_json")
                return
        if self._whole or any(found):
            event.properties_json = orjson.dumps(kept)

    def _applied(self, rule: PiiRule) -> Apply:
        new = _change(rule.action, self._hashed)
        url = url_of(rule.path)
        if url:
            field, part = CanonicalField.of(url), rule.path.removeprefix(f"{url}.")

            def apply_to_address(event: event_pb2.Event) -> None:
                if text := field.get(event):
                    field.set(event, changed_address(text, part, new))

            return apply_to_address
        named = CanonicalField.of(rule.path)
        copied = rule.path in _PEOPLE

        def apply(event: event_pb2.Event) -> None:
            text = named.get(event)
            if not text:
                return
            made = new(text)
            made = "" if made is DROP else made
            if copied and event.distinct_id == text:
                _DISTINCT.set(event, made)
            named.set(event, made)

        return apply

    def _hashed(self, value: Any) -> str:
        text = value.encode() if isinstance(value, str) else orjson.dumps(value)
        return hmac.digest(self._hash_key, text, "sha256").hex()[:HASH_CHARACTERS]


def hash_key_of(secret: bytes, project_id: str) -> bytes:
    """The key that a project's values are hashed with, of the secret that the control DB holds."""
    return hmac.digest(secret, b"pii:" + project_id.encode(), "sha256")


def _change(action: PiiAction, hashed: Change) -> Change:
    if action is PiiAction.DROP:
        return lambda _: DROP
    leaf = hashed if action is PiiAction.HASH else _masked
    return lambda value: each_leaf(value, leaf)


def _masked(_: Any) -> str:
    return MASK


def _with_sent(rules: Sequence[PiiRule]) -> Iterator[PiiRule]:
    """What a rule hides of an address must not be read where the address stands as the client wrote it. There a part
    may hide behind a spelling, such as a line feed in a name: all of it goes."""
    for rule in rules:
        yield rule
        if rule.path == _HREF:
            yield PiiRule(_SENT_HREF, rule.action)
        elif url_of(rule.path) == _HREF:
            yield PiiRule(_SENT_HREF, PiiAction.DROP)


def _in_properties(rule: PiiRule) -> bool:
    return rule.path.split(".", 1)[0] == PROPERTIES
