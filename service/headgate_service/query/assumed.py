"""What statements take for granted until their own rows say otherwise, because it is mostly so and quicker."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Assumed:
    """`weights`: those of the events, ascending, where any differs from 1. `texts_only`: the values of a breakdown's
    key, or of a property whose values are counted, are texts."""

    weights: tuple[float, ...] = ()
    texts_only: bool = True

    def with_all_types(self) -> "Assumed":
        return replace(self, texts_only=False)


class Contradicted(Exception):
    """The rows say otherwise: ask again with less assumed."""


class OtherTypes(Contradicted):
    """A key has values that are no texts."""


class Weighed(Contradicted):
    """Events have weights."""
