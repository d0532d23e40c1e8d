"""Where a project's own sink runs: without a way to what is the operator's."""

from dataclasses import dataclass

from headgate_sinks import Place
from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class TenantPlace(Place):
    """A secret is what it is: nothing in it leads to a variable, a file or a plugin's vault."""

    def secret(self, given: str | SecretStr) -> str:
        return given.get_secret_value() if isinstance(given, SecretStr) else given
