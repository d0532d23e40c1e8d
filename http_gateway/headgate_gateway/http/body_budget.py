"""Bounds what the bodies of all connections hold together while they arrive and are read."""

import contextlib
from collections.abc import Iterator


class Overloaded(Exception):
    """So much is under way that this request is not taken; it may come again. `unread`: its body may still come."""

    def __init__(self, *, unread: bool) -> None:
        super().__init__("too much is under way: retry")
        self.unread = unread


class BodyBudget:
    """How many bodies may be under way at once, and how many bytes of them may be held."""

    def __init__(self, bodies: int, size: int) -> None:
        self._bodies_left = bodies
        self._bytes_left = size

    @contextlib.contextmanager
    def body(self) -> "Iterator[HeldBody]":
        """Hold a place for a body; raises Overloaded where there is none."""
        if self._bodies_left <= 0:
            raise Overloaded(unread=True)
        self._bodies_left -= 1
        held = HeldBody(self)
        try:
            yield held
        finally:
            self._bodies_left += 1
            self._bytes_left += held.size

    def take(self, size: int) -> bool:
        """Take bytes out of what is left; False where there are not so many."""
        if size > self._bytes_left:
            return False
        self._bytes_left -= size
        return True


class HeldBody:
    """One body that arrives."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.size = 0

    def grow(self, size: int) -> None:
        """Account for a piece of it; raises Overloaded."""
        if not self._budget.take(size):
            raise Overloaded(unread=True)
        self.size += size
