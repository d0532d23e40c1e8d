"""Paths into an event's properties, such as `card.number`, through arrays and names that hold dots."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

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
