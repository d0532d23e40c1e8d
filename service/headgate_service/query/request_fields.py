"""One JSON object of a request, of which every field is read or refused."""

from collections.abc import Mapping
from typing import Any, TypeVar

from headgate_service.errors import QueryInvalid, invalid

MAX_SHOWN = 80

Name = TypeVar("Name", bound=str)


class Fields:
    """An object at `path` in the request. `done` refuses what nobody read."""

    def __init__(self, value: object, path: str = "") -> None:
        if not isinstance(value, dict):
            raise invalid(path or "body", "must be an object")
        self._values: Mapping[str, Any] = value
        self._path = path
        self._read: set[str] = set()

    def path(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def has(self, name: str) -> bool:
        """Whether the field is there; null is as if it were not."""
        return self.optional(name) is not None

    def optional(self, name: str) -> Any:
        self._read.add(name)
        return self._values.get(name)

    def required(self, name: str) -> Any:
        value = self.optional(name)
        if value is None:
            raise invalid(self.path(name), "is required")
        return value

    def text(self, name: str, longest: int = 1000) -> str:
        return text(self.required(name), self.path(name), longest)

    def flag(self, name: str) -> bool:
        value = self.optional(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise invalid(self.path(name), "must be true or false")
        return value

    def refuse(self, names: tuple[str, ...], why: str) -> None:
        """Refuses each of `names` that is there."""
        for name in names:
            if self.has(name):
                raise invalid(self.path(name), why)

    def done(self) -> None:
        for name in self._values:
            if name not in self._read:
                path = self.path(name[:MAX_SHOWN])
                raise QueryInvalid("unknown_field", f"{path}: there is no such field", path)


def text(value: object, path: str, longest: int = 1000) -> str:
    """A string of 1 to `longest` characters."""
    if not isinstance(value, str) or not value:
        raise invalid(path, "must be a string that is not empty")
    if len(value) > longest:
        raise invalid(path, f"must be at most {longest} characters")
    return value


def integer(value: object, path: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise invalid(path, f"must be an integer from {least} to {most}")
    return value


def one_of(value: object, path: str, names: tuple[Name, ...]) -> Name:
    for name in names:
        if value == name:
            return name
    raise invalid(path, f"must be one of {', '.join(names)}")
