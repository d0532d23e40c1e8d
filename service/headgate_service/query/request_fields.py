"""One JSON object of a request, of which every field is read or refused."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from headgate_service.errors import QueryOverLimit, QueryRefused, invalid

MAX_SHOWN = 80

Name = TypeVar("Name", bound=str)


class Faults:
    """Gathers what is wrong with the parts of a request: what each `with` block raises. `tell` raises it as one."""

    def __init__(self) -> None:
        self._found: list[QueryRefused] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, QueryRefused):
            self._found.append(error)
        return isinstance(error, QueryRefused)

    def tell(self) -> None:
        """Raises what was found, if anything: with the reason of the first, an invalid field before a limit."""
        if self._found:
            self._found.sort(key=lambda error: isinstance(error, QueryOverLimit))
            raise self._found[0].with_faults(fault for error in self._found for fault in error.faults) from None


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
        faults = Faults()
        for name in names:
            with faults:
                if self.has(name):
                    raise invalid(self.path(name), why)
        faults.tell()

    def done(self, also: Iterable[str] = ()) -> None:
        """Refuses what nobody read, but for `also`."""
        faults = Faults()
        for name in self._values:
            with faults:
                if name not in self._read and name not in also:
                    raise invalid(self.path(name[:MAX_SHOWN]), "there is no such field", "unknown_field")
        faults.tell()


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
