"""Bearer JWTs."""

from headgate_service.access.errors import CredentialInvalid
from headgate_service.access.principal import Principal


class NoIssuers:
    """Where no issuer is configured, whose tokens could be good."""

    async def principal(self, text: str) -> Principal:
        """Raises CredentialInvalid."""
        raise CredentialInvalid("no issuer of JWTs is configured here")
