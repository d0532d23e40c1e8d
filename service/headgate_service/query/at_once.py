"""How many queries of a project may run at the same time."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

MOST_AT_ONCE = 5


class TooManyQueries(Exception):
    """As many queries of the project as may run do: retry after `retry_seconds`."""

    retry_seconds = 1.0


class AtOnce:
    """Counts, in this process, the queries that run."""

    def __init__(self, most: int = MOST_AT_ONCE) -> None:
        self._most = most
        self._running: Counter[str] = Counter()

    @contextmanager
    def one(self, project_id: str) -> Iterator[None]:
        """Raises TooManyQueries."""
        if self._running[project_id] >= self._most:
            raise TooManyQueries(f"{self._most} queries of this project run already: retry when one has ended")
        self._running[project_id] += 1
        try:
            yield
        finally:
            self._running[project_id] -= 1
            if not self._running[project_id]:
                del self._running[project_id]
