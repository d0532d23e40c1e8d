"""The texts of a canonical event that a config may name, such as `user_id` or `page.href`."""

from dataclasses import dataclass

from google.protobuf.descriptor import FieldDescriptor
from headgate.v1 import event_pb2

from headgate_service.policy.near_miss import did_you_mean

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
    raise ValueError(f"is no path of an event{did_you_mean(path, [*TEXTS, PROPERTIES])}")


def url_of(path: str) -> str:
    """The address that a path names a part of; empty where it names no such part."""
    return next((url for url in URLS if path.startswith(f"{url}.")), "")


def _is_part_of_url(path: str) -> bool:
    part = path.removeprefix(f"{url_of(path)}.") if url_of(path) else ""
    return part in ("query", "fragment") or (part.startswith("query.") and len(part) > len("query."))
