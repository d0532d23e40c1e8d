"""What a filter, a breakdown or a metric reads of an event."""

from dataclasses import dataclass
from enum import Enum

from headgate_service.query.fields import text

FORCE = "properties."
MAX_KEY_CHARACTERS = 500


class Kind(Enum):
    """Where the value of a key stands."""

    TEXT = "text"
    FLAG = "flag"
    TIME = "time"
    PROPERTY = "property"


# The names of the grammar and the columns of the table.
_COLUMNS = {
    "distinct_id": (Kind.TEXT, "distinct_id"),
    "user_id": (Kind.TEXT, "user_id"),
    "session_id": (Kind.TEXT, "session_id"),
    "event": (Kind.TEXT, "event"),
    "test": (Kind.FLAG, "test"),
    "timestamp": (Kind.TIME, "ts"),
}

CANONICAL = {
    "$pathname": "page_path",
    "$path": "page_path",
    "$host": "page_domain",
    "$domain": "page_domain",
    "$referrer": "page_referrer",
    "$title": "page_title",
    "$href": "page_href",
    "$url": "page_href",
    "$current_url": "page_href",
    "$canonical_url": "page_canonical_url",
    "$utm_source": "utm_source",
    "$utm_medium": "utm_medium",
    "$utm_campaign": "utm_campaign",
    "$utm_term": "utm_term",
    "$utm_content": "utm_content",
    "$user_agent": "user_agent",
    "$ip": "client_ip",
    "$anonymous_id": "anonymous_id",
    "$experiment_id": "experiment_id",
    "$variant_id": "variant_id",
    "$sdk_name": "sdk_name",
    "$sdk_version": "sdk_version",
}
"""Names for which an event without such a property answers with a canonical column."""


@dataclass(frozen=True, slots=True)
class Key:
    """A column of its own, or a property with the column that stands in where an event has none of that name.

    Of a property, `places` are the ways into the properties, tried in their order: the literal name, then the name
    split at its dots. The first that holds a value (not null, not an object) is read.
    """

    name: str
    kind: Kind
    column: str | None = None
    places: tuple[tuple[str, ...], ...] = ()


def parse_key(value: object, path: str) -> Key:
    """Raises QueryInvalid."""
    name = text(value, path, MAX_KEY_CHARACTERS)
    if name in _COLUMNS:
        kind, column = _COLUMNS[name]
        return Key(name, kind, column)
    forced = name.startswith(FORCE) and name != FORCE
    literal = name.removeprefix(FORCE) if forced else name
    nested = tuple(literal.split("."))
    places = ((literal,), nested) if len(nested) > 1 else ((literal,),)
    return Key(name, Kind.PROPERTY, None if forced else CANONICAL.get(literal), places)
