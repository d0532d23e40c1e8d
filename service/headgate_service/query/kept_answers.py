"""The latest answers, for those who ask the same again."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Of what a dictionary, a key and an entry take beside their text.
_OVERHEAD = 500


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer's results as JSON, and what is said of it. `at_ms` is when it was made."""

    results: bytes
    meta: dict[str, Any]
    at_ms: int


class Cache:
    """The latest answers in at most `most_bytes`; those that were not asked for longest go first."""

    def __init__(self, most_bytes: int, clock: Callable[[], float]) -> None:
        self._most_bytes = most_bytes
        self._clock = clock
        self._kept: OrderedDict[tuple[str, bytes], tuple[Kept, float]] = OrderedDict()
        self._bytes = 0

    def get(self, project_id: str, query: bytes) -> Kept | None:
        kept, until = self._kept.get((project_id, query), (None, 0.0))
        if kept is None or until <= self._clock():
            return None
        self._kept.move_to_end((project_id, query))
        return kept

    def put(self, project_id: str, query: bytes, kept: Kept, seconds: float) -> None:
        """Keeps an answer for so long. One that would fill the cache by itself is not kept."""
        place = (project_id, query)
        self._drop(place)
        size = _size(place, kept)
        if size > self._most_bytes // 2:
            return
        self._kept[place] = (kept, self._clock() + seconds)
        self._bytes += size
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def forget(self, project_id: str) -> None:
        """Drops all answers about a project."""
        for place in [place for place in self._kept if place[0] == project_id]:
            self._drop(place)

    def _drop(self, place: tuple[str, bytes]) -> None:
        if place in self._kept:
            kept, _ = self._kept.pop(place)
            self._bytes -= _size(place, kept)


def _size(place: tuple[str, bytes], kept: Kept) -> int:
    # The normal form stands in the meta again.
    return len(kept.results) + 3 * len(place[1]) + _OVERHEAD
