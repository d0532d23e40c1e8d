"""Which environment variables a plugin may see: those that a program needs, and those that the operator names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

_NEEDED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TMPDIR",
    "TEMP",
    "TMP",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONUTF8",
    "PYTHONIOENCODING",
    "PYTHONHASHSEED",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONMALLOC",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
# Headgate's own secrets, which nobody can name.
_OWN = frozenset(
    {
        "HEADGATE_REDIS_URL",
        "HEADGATE_DATABASE_URL",
        "HEADGATE_GATEWAY_TOKEN",
        "HEADGATE_SECRETS_KEY",
        "HEADGATE_SECRET_KEY",
        "HEADGATE_STORE_URL",
        "HEADGATE_CREDENTIALS",
    }
)


def plugin_environment(
    environment: Mapping[str, str], passed: Sequence[str] = (), named: Iterable[str] = ()
) -> dict[str, str]:
    """The variables that a plugin's process gets. `passed` are names, with `*`, that the operator lets through; `named`
    are names that the sink's configuration refers to."""
    patterns, exact = (*_NEEDED, *passed), frozenset(named)
    return {
        name: value
        for name, value in environment.items()
        if name not in _OWN and (name in exact or any(fnmatchcase(name, pattern) for pattern in patterns))
    }


def named_in(settings: Any) -> Iterator[str]:
    """The variables that `env:NAME` in a sink's configuration names."""
    return (text.removeprefix("env:") for text in texts_in(settings) if text.startswith("env:"))


def texts_in(settings: Any) -> Iterator[str]:
    """Every text in a configuration."""
    if isinstance(settings, str):
        yield settings
    elif isinstance(settings, Mapping):
        for inner in settings.values():
            yield from texts_in(inner)
    elif isinstance(settings, Sequence):
        for inner in settings:
            yield from texts_in(inner)
