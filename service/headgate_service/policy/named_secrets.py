"""Secrets that headgate.yaml only names: read on the machine that deploys, so that the file holds none."""

from collections.abc import Callable, Mapping
from typing import Any

from headgate_service.policy.invalid import ConfigFault, PolicyInvalid, pointer

Place = tuple[str | int, ...]


def with_named_secrets(sinks: Any, environment: Mapping[str, str], read_file: Callable[[str], str]) -> Any:
    """Sinks, as they are written, with `env:NAME` and `file:PATH` in their `secrets` replaced by what these name.
    Raises PolicyInvalid. `read_file` raises OSError."""
    faults: list[ConfigFault] = []

    def read(given: Any, place: Place) -> Any:
        if isinstance(given, Mapping):
            return {name: read(one, (*place, name)) for name, one in given.items()}
        if isinstance(given, list):
            return [read(one, (*place, number)) for number, one in enumerate(given)]
        try:
            return _read(given, environment, read_file)
        except _Missing as error:
            faults.append(ConfigFault(pointer(*place), str(error)))
            return given

    made = [
        {**sink, "secrets": read(sink["secrets"], ("sinks", number, "secrets"))}
        if isinstance(sink, Mapping) and "secrets" in sink
        else sink
        for number, sink in enumerate(sinks)
    ]
    if faults:
        raise PolicyInvalid(faults)
    return made


class _Missing(Exception):
    """A name that leads to nothing."""


def _read(given: Any, environment: Mapping[str, str], read_file: Callable[[str], str]) -> Any:
    scheme, colon, name = given.partition(":") if isinstance(given, str) else ("", "", "")
    if not colon or scheme not in ("env", "file"):
        return given
    if scheme == "env":
        if not environment.get(name):
            raise _Missing(f"the environment variable {name} is not set here")
        return environment[name]
    try:
        return read_file(name).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise _Missing(f"the file {name!r} cannot be read: {reason}") from None
