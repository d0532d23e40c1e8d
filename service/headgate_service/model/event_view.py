"""Which of an event's fields a sink gets to see, and under which names its properties.

A sealed batch remembers the choice it was promised under, so that a resend is the same after the choice was changed.
Dead letters keep the whole event; only what is sent to a sink is cut.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from headgate.v1 import event_pb2

# What tells events apart and says whose, what and when they are: no sink goes without.
ALWAYS = frozenset({"event_id", "name", "occur_time", "receive_time", "project_id", "dialect", "sample_weight"})

_PROPERTIES = "properties"
_PARTS = {
    part.name: frozenset(inner.name for inner in part.message_type.fields)
    for part in event_pb2.Event.DESCRIPTOR.fields
    if part.message_type is not None and part.message_type.file is event_pb2.DESCRIPTOR
}
_PLAIN = frozenset({"client_time", "user_id", "distinct_id", "anonymous_id", "session_id", "test"})


class FieldsInvalid(Exception):
    """A choice that names what cannot be chosen; the message says which, and what can be."""


@dataclass(frozen=True, slots=True)
class Fields:
    """A sink's choice, by paths such as `user_id`, `page.referrer`, `properties` or `properties.card.number`.

    `include` None: everything but what `exclude` names. `rename` maps properties, as `plan` or `card.type`, to the
    names they get in their place; it comes last. A property whose own name holds a dot is found before a nested one.
    Raises FieldsInvalid.
    """

    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in (*(self.include or ()), *self.exclude):
            _check(path)
        for old, new in self.rename.items():
            if not all(old.split(".")) or not new or "." in new:
                raise FieldsInvalid(
                    f"`rename` maps the path of a property to a plain name, and {old!r} = {new!r} does not"
                )

    @classmethod
    def parse(cls, source: bytes) -> "Fields":
        """The choice behind `source`."""
        include, exclude, rename = orjson.loads(source)
        return cls(None if include is None else tuple(include), tuple(exclude), rename)

    @property
    def source(self) -> bytes:
        """The choice in a form to keep."""
        return orjson.dumps([self.include, self.exclude, dict(self.rename)], option=orjson.OPT_SORT_KEYS)

    def of(self, event: event_pb2.Event) -> event_pb2.Event:
        """A copy of an event with what the sink is to see of it."""
        cut = event_pb2.Event()
        cut.CopyFrom(event)
        if self.include is not None:
            _keep(cut, self.include)
        for path in self.exclude:
            _drop(cut, path.split("."))
        if cut.properties_json:
            self._cut_properties(cut)
        return cut

    def _cut_properties(self, event: event_pb2.Event) -> None:
        included = None if self.include is None else _inside_properties(self.include)
        excluded = _inside_properties(self.exclude)
        if not (included or excluded or self.rename):
            return
        properties: dict[str, Any] = orjson.loads(event.properties_json)
        if included and [] not in included:
            properties = _picked(properties, included)
        for path in excluded:
            if place := _place(properties, path):
                holder, name = place
                del holder[name]
        for old, new in self.rename.items():
            if place := _place(properties, old.split(".")):
                holder, name = place
                holder[new] = holder.pop(name)
        if properties:
            event.properties_json = orjson.dumps(properties)
        else:
            event.ClearField("properties_json")


def seen(events: Sequence[event_pb2.Event], fields: Fields | None) -> Sequence[event_pb2.Event]:
    """The events as a sink of this choice gets them."""
    return events if fields is None else [fields.of(event) for event in events]


def _check(path: str) -> None:
    head, *rest = path.split(".")
    if head in ALWAYS:
        raise FieldsInvalid(f"{path!r} goes to every sink and cannot be chosen")
    known = head == _PROPERTIES or head in _PARTS or head in _PLAIN
    if not known or (head in _PLAIN and rest) or (head in _PARTS and len(rest) > 1) or "" in rest:
        raise FieldsInvalid(
            f"{path!r} is not a field: name one of {', '.join(sorted({*_PLAIN, *_PARTS, _PROPERTIES}))}"
        )
    if head in _PARTS and rest and rest[0] not in _PARTS[head]:
        raise FieldsInvalid(f"{path!r} is not a field: {head} has {', '.join(sorted(_PARTS[head]))}")


def _keep(event: event_pb2.Event, paths: Iterable[str]) -> None:
    chosen = [path.split(".") for path in paths]
    whole = {path[0] for path in chosen if len(path) == 1}
    for name in _PLAIN - whole:
        event.ClearField(name)
    for part, inner in _PARTS.items():
        if part in whole or not event.HasField(part):
            continue
        some = {path[1] for path in chosen if path[0] == part}
        for name in inner - some:
            getattr(event, part).ClearField(name)
        if not getattr(event, part).ListFields():
            event.ClearField(part)
    if not any(path[0] == _PROPERTIES for path in chosen):
        event.ClearField("properties_json")


def _drop(event: event_pb2.Event, path: Sequence[str]) -> None:
    if path == [_PROPERTIES]:
        event.ClearField("properties_json")
    elif len(path) == 1:
        event.ClearField(path[0])
    elif path[0] in _PARTS and event.HasField(path[0]):
        part = getattr(event, path[0])
        part.ClearField(path[1])
        if path == ["page", "href"]:
            # The same, as the client wrote it.
            part.ClearField("sent_href")
        if not part.ListFields():
            event.ClearField(path[0])


def _inside_properties(paths: Iterable[str]) -> list[list[str]]:
    """The paths within the properties; an empty one for all of them."""
    return [path.split(".")[1:] for path in paths if path.split(".")[0] == _PROPERTIES]


def _picked(properties: dict[str, Any], paths: Iterable[Sequence[str]]) -> dict[str, Any]:
    picked: dict[str, Any] = {}
    for path in paths:
        if (name := ".".join(path)) in properties:
            picked[name] = properties[name]
            continue
        at, into = properties, picked
        for step in path[:-1]:
            inner = at.get(step)
            if not isinstance(inner, dict):
                break
            at, into = inner, into.setdefault(step, {})
        else:
            if path[-1] in at:
                into[path[-1]] = at[path[-1]]
    return {name: value for name, value in picked.items() if value != {} or properties[name] == {}}


def _place(properties: dict[str, Any], path: Sequence[str]) -> tuple[dict[str, Any], str] | None:
    """The object that a property stands in and its name there; None where there is none."""
    if (whole := ".".join(path)) in properties:
        return properties, whole
    at: Any = properties
    for step in path[:-1]:
        at = at.get(step) if isinstance(at, dict) else None
    return (at, path[-1]) if isinstance(at, dict) and path and path[-1] in at else None
