"""Paths into an event's properties, such as `card.number`, through arrays and names that hold dots."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from headgate.v1 import event_pb2

from headgate_service.policy.config_faults import did_you_mean

PROPERTIES = "properties"
URLS = frozenset({"page.href", "page.canonical_url", "page.referrer"})
MAX_STEPS = 10
MAX_PATH_CHARACTERS = 300

# What tells events apart, and what Headgate itself writes, is no one's to change.
_OWN = frozenset({"event_id", "name", "project_id"})


def _texts() -> dict[str, tuple[str, str]]:
    """Each path with the part it is in (empty: the event itself) and its name there."""
    texts: dict[str, tuple[str, str]] = {}
    for field in event_pb2.Event.DESCRIPTOR.fields:
        if field.type == FieldDescriptor.TYPE_STRING and field.name not in _OWN:
            texts[field.name] = ("", field.name)
        elif field.message_type is not None and field.message_type.file is event_pb2.DESCRIPTOR:
            for inner in field.message_type.fields:
                if inner.type == FieldDescriptor.TYPE_STRING:
                    texts[f"{field.name}.{inner.name}"] = (field.name, inner.name)
    return texts


TEXTS = _texts()


@dataclass(frozen=True, slots=True)
class CanonicalField:
    """A text of the event: of itself, or of its part `part`."""

    part: str
    name: str

    @classmethod
    def of(cls, path: str) -> "CanonicalField":
        return cls(*TEXTS[path])

    def get(self, event: event_pb2.Event) -> str:
        holder = getattr(event, self.part) if self.part else event
        text: str = getattr(holder, self.name)
        return text

    def set(self, event: event_pb2.Event, text: str) -> None:
        holder = getattr(event, self.part) if self.part else event
        setattr(holder, self.name, text)
        if self.part and not text and not holder.ListFields():
            event.ClearField(self.part)


def valid_path(path: str, *, parts_of_urls: bool = False) -> str:
    """A path to a canonical text or into the properties; with `parts_of_urls` also `page.href.query`,
    `page.href.query.NAME` and `page.href.fragment`, and so for every address. Raises ValueError."""
    if len(path) > MAX_PATH_CHARACTERS or path.count(".") >= MAX_STEPS:
        raise ValueError(f"has more than {MAX_STEPS} steps or {MAX_PATH_CHARACTERS} characters")
    head, *rest = path.split(".")
    if head == PROPERTIES and all(rest):
        return path
    if path in TEXTS or (parts_of_urls and _is_part_of_url(path)):
        return path
    raise ValueError(f"is not a path of an event{did_you_mean(path, [*TEXTS, PROPERTIES])}")


def url_of(path: str) -> str:
    """The address that a path names a part of; empty where it names no such part."""
    return next((url for url in URLS if path.startswith(f"{url}.")), "")


def _is_part_of_url(path: str) -> bool:
    part = path.removeprefix(f"{url_of(path)}.") if url_of(path) else ""
    return part in ("query", "fragment") or (part.startswith("query.") and len(part) > len("query."))


DROP: Final = object()
"""What a change returns for a value that is to go."""

Change = Callable[[Any], Any]


def values(holder: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """Every value at a path."""
    for inner, key, rest in _places(holder, path):
        if rest:
            yield from values(inner[key], rest)
        else:
            yield inner[key]


def change(holder: Any, path: tuple[str, ...], new: Change) -> bool:
    """Replaces every value at a path, in place, by what `new` makes of it; says whether there was any.

    An array on the way stands for each of its elements. A name that itself holds dots is found as well as a nested
    one, and `*` is every name of an object: what is to be hidden must not hide behind a spelling.
    """
    found = False
    for inner, key, rest in list(_places(holder, path)):
        if rest:
            found |= change(inner[key], rest, new)
            continue
        found = True
        made = new(inner[key])
        if made is DROP:
            del inner[key]
        else:
            inner[key] = made
    return found


def each_leaf(value: Any, new: Change) -> Any:
    """A value with `new` made of everything in it that is neither object, array nor null."""
    if isinstance(value, dict):
        return {name: each_leaf(inner, new) for name, inner in value.items()}
    if isinstance(value, list):
        return [each_leaf(inner, new) for inner in value]
    return None if value is None else new(value)


def holds_more(value: Any, most: int) -> bool:
    """Whether there are more elements than `most` in all arrays of a value: each is looked into for each path."""
    found, left = 0, [value]
    while left and found <= most:
        inner = left.pop()
        if isinstance(inner, dict | list):
            found += len(inner) if isinstance(inner, list) else 0
            left.extend(inner.values() if isinstance(inner, dict) else inner)
    return found > most


def _places(holder: Any, path: tuple[str, ...]) -> Iterator[tuple[Any, Any, tuple[str, ...]]]:
    """What may be the next step: the holder, the key in it and the steps that are left."""
    if isinstance(holder, list):
        for element in holder:
            yield from _places(element, path)
        return
    if not isinstance(holder, dict):
        return
    if path[0] == "*":
        for name in list(holder):
            yield holder, name, path[1:]
        return
    for name, rest in _names(path):
        if name in holder:
            yield holder, name, rest


@lru_cache(10_000)
def _names(path: tuple[str, ...]) -> Sequence[tuple[str, tuple[str, ...]]]:
    """The names that a path may begin with, each with the steps that it leaves."""
    return tuple((".".join(path[:steps]), path[steps:]) for steps in range(1, len(path) + 1))
