"""Secrets of operators: given in the configuration as they are, or as a reference to where they are."""

from collections.abc import Callable, Mapping
from pathlib import Path


class SecretMissing(Exception):
    """A reference that leads to nothing. The message names the reference, never a secret."""


def no_resolver(reference: str) -> str | None:
    """Knows no reference."""
    return None


def read_secret(given: str, environment: Mapping[str, str], resolve: Callable[[str], str | None] = no_resolver) -> str:
    """The secret behind `env:NAME`, `file:PATH` (surrounding white space is cut) or a reference that `resolve` knows;
    else the secret itself.

    Raises SecretMissing.
    """
    scheme, _, name = given.partition(":")
    if scheme == "env":
        secret = environment.get(name, "")
        if not secret:
            raise SecretMissing(f"the environment variable {name} is not set: set it and restart the forwarder")
        return secret
    if scheme == "file":
        try:
            secret = Path(name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise SecretMissing(f"the secret file {name} cannot be read: {reason}") from None
        if not secret:
            raise SecretMissing(f"the secret file {name} is empty")
        return secret
    resolved = resolve(given)
    return given if resolved is None else resolved
