"""Who watches events: so many at once, and so many of each caller."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from headgate_service.access.principal import Principal
from headgate_service.tail import TooManyTails

MOST = 200
MOST_EACH = 10


class Watchers:
    """Of one service."""

    def __init__(self, most: int = MOST, most_each: int = MOST_EACH) -> None:
        self._most = most
        self._most_each = most_each
        self._watching: Counter[str] = Counter()

    @contextmanager
    def one_more(self, principal: Principal) -> Iterator[None]:
        """Counts one for as long as they watch. Raises TooManyTails."""
        who = principal.user_id or principal.credential_id
        if self._watching[who] >= self._most_each:
            raise TooManyTails(f"you watch {self._most_each} times already: end one of them first")
        if self._watching.total() >= self._most:
            raise TooManyTails("as many watch events as may: try again later")
        self._watching[who] += 1
        try:
            yield
        finally:
            self._watching[who] -= 1
            if not self._watching[who]:
                del self._watching[who]
