"""What a project's events look like: their names, and the properties that they hold, as the store has seen them.

Events are counted, all of them. Properties are read of every event of a rare name, and of a part of those of others:
an event is in the part by a hash of its id, so that the next look reads the same ones.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from headgate_service.query.filter import FORCE, RESERVED, SYNTAX
from headgate_service.query.limited_store import Rows
from headgate_service.query.sql import Binder

MAX_EVENTS = 200
MAX_PROPERTIES = 200
MAX_EXAMPLES = 5
MAX_EXAMPLE_CHARACTERS = 100
READ_OF_A_NAME = 20_000
"""Of how many events of a name properties are read, about."""
_RAW_EXAMPLES = 30
_KINDS = {"String": "string", "Int64": "number", "UInt64": "number", "Float64": "number", "Bool": "boolean"}


@dataclass(frozen=True, slots=True)
class SchemaScope:
    """The events of one project since `start`, in milliseconds; of one name, where `event` is one."""

    table: str
    project_id: str
    start: int
    end: int
    event: str | None = None

    def where(self, binder: Binder) -> str:
        parts = [
            f"project_id = {binder.text(self.project_id)}",
            f"ts >= fromUnixTimestamp64Milli({binder.whole(self.start)}, 'UTC')",
            f"ts < fromUnixTimestamp64Milli({binder.whole(self.end)}, 'UTC')",
        ]
        if self.event is not None:
            parts.append(f"event = {binder.text(self.event)}")
        return " AND ".join(parts)


async def schema_of(scope: SchemaScope, store: Rows) -> dict[str, Any]:
    """Raises what the store raises."""
    binder = Binder()
    counted = await store.query(
        "SELECT event, toString(sum(weight)), toString(count()), toUnixTimestamp64Milli(max(ts))"
        f" FROM {scope.table} WHERE {scope.where(binder)} GROUP BY event ORDER BY sum(weight) DESC, event"
        f" LIMIT {MAX_EVENTS + 1}",
        binder.parameters,
    )
    shown = counted[:MAX_EVENTS]
    parts = {str(name): math.ceil(int(rows) / READ_OF_A_NAME) for name, _, rows, _ in shown}
    read, found = await _read(scope, parts, store), await _properties(scope, parts, store)
    events = []
    for name, weight, rows, last in shown:
        total, raw = read.get(name, (0, []))
        properties = [_property(row, total, raw) for row in found.get(name, ())[:MAX_PROPERTIES]]
        events.append(
            {
                "name": name,
                "count": _whole(float(weight)),
                "lastSeen": _rfc3339(last),
                "readForProperties": min(int(rows), total),
                "properties": properties,
                "truncated": len(found.get(name, ())) > MAX_PROPERTIES,
            }
        )
    return {"events": events, "truncated": len(counted) > MAX_EVENTS}


async def _read(
    scope: SchemaScope, parts: Mapping[str, int], store: Rows
) -> dict[str, tuple[int, list[Mapping[str, Any]]]]:
    """By event, how many were read, and the properties of a few of the latest."""
    binder = Binder()
    rows = await store.query(
        f"SELECT event, count(), groupArraySorted({_RAW_EXAMPLES})((-toUnixTimestamp64Milli(ts), properties_raw))"
        f" FROM {scope.table} WHERE {_part(scope, parts, binder)} GROUP BY event",
        binder.parameters,
    )
    return {event: (int(count), list(map(_loaded, (raw for _, raw in latest)))) for event, count, latest in rows}


async def _properties(
    scope: SchemaScope, parts: Mapping[str, int], store: Rows
) -> dict[str, list[tuple[tuple[str, ...], list[str], int, int]]]:
    """By event, properties by how many events hold them: the way to it, types, how many, and when the last was."""
    binder = Binder()
    rows = await store.query(
        "SELECT event, path, groupUniqArray(10)(type), count() AS held, toUnixTimestamp64Milli(max(ts))"
        f" FROM {scope.table} ARRAY JOIN mapKeys(JSONAllPathsWithTypes(properties)) AS path,"
        f" mapValues(JSONAllPathsWithTypes(properties)) AS type WHERE {_part(scope, parts, binder)}"
        f" GROUP BY event, path ORDER BY event, held DESC, path LIMIT {2 * MAX_PROPERTIES} BY event",
        binder.parameters,
    )
    found: dict[str, list[tuple[tuple[str, ...], list[str], int, int]]] = {}
    for event, path, types, held, last in rows:
        place = tuple(part.replace("%2E", ".").replace("%25", "%") for part in path.split("."))
        if _key(place) is not None and not SYNTAX.search(path):
            kinds = sorted({_KINDS.get(kind, "list") for kind in types})
            found.setdefault(event, []).append((place, kinds, int(held), int(last)))
    return found


def _part(scope: SchemaScope, parts: Mapping[str, int], binder: Binder) -> str:
    whole = [name for name, part in parts.items() if part == 1]
    some = [f"event IN {binder.texts(whole)}"]
    for name, part in parts.items():
        if part > 1:
            some.append(f"(event = {binder.text(name)} AND cityHash64(event_id) % {part} = 0)")
    return f"{scope.where(binder)} AND ({' OR '.join(some)})"


def _property(
    row: tuple[tuple[str, ...], list[str], int, int], total: int, raw: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    place, types, held, last = row
    return {
        "key": _key(place),
        "types": types,
        "examples": list(_examples(place, raw)),
        "count": held,
        "share": held / total if total else None,
        "lastSeen": _rfc3339(last),
    }


def _key(place: tuple[str, ...]) -> str | None:
    """What a query calls it; None where it can call it nothing, as a name with a dot within an object."""
    if len(place) > 1 and any("." in part for part in place):
        return None
    name = ".".join(place)
    return f"{FORCE}{name}" if name in RESERVED or name.startswith(FORCE) else name


def _examples(place: tuple[str, ...], raw: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    """Different values of the latest events, texts cut short."""
    seen: set[str] = set()
    for value in raw:
        here: Any = value
        for part in place:
            here = here.get(part) if isinstance(here, Mapping) else None
        if not isinstance(here, str | int | float | bool):
            continue
        shown = here[:MAX_EXAMPLE_CHARACTERS] if isinstance(here, str) else here
        if repr(shown) not in seen:
            seen.add(repr(shown))
            yield shown
        if len(seen) == MAX_EXAMPLES:
            return


def _loaded(raw: str) -> Mapping[str, Any]:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _whole(value: float) -> float:
    return int(value) if value.is_integer() else value


def _rfc3339(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"
