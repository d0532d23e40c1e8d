"""A row of the table: something that is measured once a round."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

# What was measured in a round, by column. Units are in the columns' names.
Figures = Mapping[str, float]


class Void(Exception):
    """Something was refused, lost or not answered, so that the figures mean nothing."""


@dataclass(frozen=True)
class Row:
    """`group/name`, what it is in words, and how it is measured. `rounds`: at most so many, for the slow ones."""

    group: str
    name: str
    title: str
    measure: Callable[[], Figures]
    rounds: int = 1000

    @property
    def id(self) -> str:
        return f"{self.group}/{self.name}"
