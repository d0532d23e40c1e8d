"""What a service is told of accounts and issuers of JWTs."""

from pathlib import Path
from typing import Any

from headgate_cli.account_settings import JwtSettings
from headgate_cli.settings import Settings, SettingsInvalid


def account_config(settings: Settings) -> dict[str, Any]:
    """The fields of the service's config. Raises SettingsInvalid."""
    from headgate_service.accounts.attempt_limits import AttemptLimits
    from headgate_service.accounts.emails import valid_email
    from headgate_service.accounts.terms import SessionTerms
    from headgate_service.project_fields import InvalidArgument

    own = settings.accounts
    try:
        owner = valid_email(own.owner)
    except InvalidArgument as error:
        raise SettingsInvalid(f"accounts.owner: {error.message}") from None
    return {
        "owner_email": owner,
        "sessions": SessionTerms(
            idle_ms=own.session_idle * 1000, longest_ms=own.session_longest * 1000, cli_ms=own.cli_token * 1000
        ),
        "attempts": AttemptLimits(
            own.login_attempts.requests,
            own.login_attempts.window_seconds * 1000,
            own.address_attempts.requests,
            own.address_attempts.window_seconds * 1000,
        ),
        "jwt": tuple(_issuer(jwt) for jwt in settings.jwt),
    }


def _issuer(jwt: JwtSettings) -> Any:
    from headgate_service.access.jwt_issuer import JwtIssuer, KeysInvalid

    issuer = JwtIssuer(
        issuer=jwt.issuer,
        audience=jwt.audience,
        algorithm=jwt.algorithm,
        jwks_url=jwt.jwks_url or "",
        jwks=_text("jwks_file", jwt.jwks_file),
        key=jwt.secret or _text("key_file", jwt.key_file),
        types=frozenset(kind.lower() for kind in jwt.types),
        scope_claim=jwt.scope_claim,
        scopes=jwt.scopes,
        project_claim=jwt.project_claim,
        projects=None if "*" in jwt.projects else frozenset(jwt.projects),
    )
    try:
        issuer.own_keys()
    except KeysInvalid as error:
        raise SettingsInvalid(f"jwt: the keys of {jwt.issuer}: {error}") from None
    return issuer


def _text(setting: str, path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"jwt.{setting}: {path} cannot be read: {error}") from None
