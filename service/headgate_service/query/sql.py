"""The parameters of one statement: whatever a request says reaches the engine as one of these, never as text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headgate_service.store.client import Identifier, Parameter


@dataclass(frozen=True, slots=True)
class Assumptions:
    """`weights`: those of the events, ascending, where any differs from 1. `texts_only`: the values of a breakdown's
    key, or of a property whose values are counted, are texts."""

    weights: tuple[float, ...] = ()
    texts_only: bool = True

    def with_all_types(self) -> "Assumptions":
        return replace(self, texts_only=False)


class Contradicted(Exception):
    """The rows say otherwise: ask again with less assumed."""


class OtherTypes(Contradicted):
    """A key has values that are not texts."""


class Weighed(Contradicted):
    """Events have weights."""


class Binder:
    """Hands out the placeholder of each value, the same for the same value."""

    def __init__(self) -> None:
        self.parameters: dict[str, Parameter] = {}
        self._placeholders: dict[tuple[str, str], str] = {}

    def text(self, value: str) -> str:
        return self._bound(value, "String")

    def column(self, name: str) -> str:
        """A column, or a part of one such as a path of its JSON."""
        return self._bound(Identifier(name), "Identifier")

    def whole(self, value: int) -> str:
        return self._bound(value, "Int64" if -(2**63) <= value < 2**63 else "Int256")

    def number(self, value: float) -> str:
        return self._bound(value, "Float64")

    def texts(self, values: Sequence[str]) -> str:
        return self._bound(list(values), "Array(String)")

    def wholes(self, values: Sequence[int]) -> str:
        return self._bound(list(values), "Array(Int64)")

    def numbers(self, values: Sequence[float]) -> str:
        return self._bound(list(values), "Array(Float64)")

    def _bound(self, value: Parameter, kind: str) -> str:
        known = (kind, repr(value))
        if known not in self._placeholders:
            name = f"p{len(self._placeholders)}"
            self.parameters[name] = value
            self._placeholders[known] = f"{{{name}:{kind}}}"
        return self._placeholders[known]
