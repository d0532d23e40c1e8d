"""The parameters of one statement: whatever a request says reaches the engine as one of these, never as text."""

from collections.abc import Sequence

from headgate_service.store.parameter import Identifier, Parameter


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
