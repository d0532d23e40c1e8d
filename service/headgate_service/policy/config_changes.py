"""What is different between two configs, as JSON Pointers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headgate_service.policy.invalid import pointer

MAX_CHANGES = 1_000
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """A setting that differs. What was not there, or is there no more, is None."""

    path: str
    before: Any
    after: Any


def config_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[ConfigChange]:
    """The settings that differ, each as high up as it is new or gone; at most 1,000. Lists differ as a whole."""
    found = (change for change in _changes(before, after, ()))
    return [change for change, _ in zip(found, range(MAX_CHANGES), strict=False)]


def _changes(before: Any, after: Any, place: tuple[str, ...]) -> Iterator[ConfigChange]:
    # A JSON Schema is one setting: which of its keywords changed tells nobody what it now asks for.
    if isinstance(before, Mapping) and isinstance(after, Mapping) and place[-1:] != ("schema",):
        for name in sorted({*before, *after}):
            yield from _changes(before.get(name, _ABSENT), after.get(name, _ABSENT), (*place, name))
    elif before is not after and (before != after or type(before) is not type(after)):
        yield ConfigChange(pointer(*place), *(None if value is _ABSENT else value for value in (before, after)))
