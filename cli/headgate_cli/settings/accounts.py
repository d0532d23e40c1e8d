"""`[accounts]` and `[[jwt]]` of headgate.toml: how people sign in, and which tokens are accepted."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from headgate_cli.settings.destination import To
from headgate_cli.settings.section import Rate, Section
from headgate_cli.settings.values import PathSetting, RateSetting, SecondsSetting

Algorithm = Literal[
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "HS256",
    "HS384",
    "HS512",
]


class AccountSettings(Section):
    """How people sign in, and how long they stay signed in."""

    owner: str = "owner@localhost"
    """E-mail address of the account that the first start creates. Its password is in `first-start.json`."""

    session_idle: Annotated[SecondsSetting, To("service.sessions.idle_ms")] = 86400
    """How long a session lasts without use."""

    session_longest: Annotated[SecondsSetting, To("service.sessions.longest_ms")] = 14 * 86400
    """How long a session lasts at most."""

    cli_token: Annotated[SecondsSetting, To("service.sessions.cli_ms")] = 90 * 86400
    """How long the access token of a command line lasts."""

    login_attempts: Annotated[RateSetting, To("service.attempts.account")] = Rate(requests=10, window_seconds=900)
    """Failed attempts to sign in to one account from one network address, in a window that starts with the first."""

    anywhere_attempts: Annotated[int, To("service.attempts.anywhere")] = Field(default=30, gt=0)
    """Failed attempts to sign in to one account from anywhere, after which each must wait: 1 second, then twice as long each time, up to the window of `login_attempts`. Addresses that have signed in to the account in 90 days do not wait."""  # noqa: E501

    address_attempts: Annotated[RateSetting, To("service.attempts.address")] = Rate(requests=50, window_seconds=900)
    """Failed attempts to sign in from one network address."""


class JwtSettings(Section):
    """An issuer of bearer JWTs to accept. Set one of `jwks_url`, `jwks_file`, `key_file` and `secret`."""

    issuer: Annotated[str, To("service.issuer")] = Field(min_length=1)
    """Required value of the claim `iss`."""

    audience: Annotated[str, To("service.audience")] = Field(min_length=1)
    """Required value of the claim `aud`, or a member of it."""

    algorithm: Annotated[Algorithm, To("service.algorithm")]
    """The one algorithm that signs its tokens."""

    jwks_url: Annotated[str | None, To("service.jwks_url")] = Field(default=None, pattern=r"^https?://")
    """URL of its public keys. They are fetched again every 10 minutes, and for an unknown key at most every 30 seconds."""  # noqa: E501

    jwks_file: PathSetting | None = None
    """File with its public keys, as a JSON Web Key Set."""

    key_file: PathSetting | None = None
    """PEM file with its public key."""

    secret: str | None = Field(default=None, repr=False, min_length=32)
    """Secret of an HS algorithm, at least 32 characters. A public key of another algorithm is safer."""

    types: tuple[str, ...] = ("JWT", "at+jwt")
    """Accepted values of the header `typ`; an empty text accepts tokens without it."""

    scope_claim: Annotated[str, To("service.scope_claim")] = "scope"
    """Claim with the token's scopes: words in one text, or a list of texts."""

    scopes: Annotated[dict[str, tuple[str, ...]] | None, To("service.scopes")] = None
    """Maps the issuer's scopes to Headgate's, such as `{"ingest" = ["events:write"]}`; others are ignored. Absent: its scopes are Headgate's."""  # noqa: E501

    project_claim: Annotated[str, To("service.project_claim")] = "project"
    """Claim that names the token's project, or a list of them, by slug or id."""

    projects: tuple[str, ...] = ("*",)
    """Slugs of the projects its tokens may use: those of them that the token names, or all of them if it names none. `["*"]`: any that the token names."""  # noqa: E501

    @model_validator(mode="after")
    def _check_key(self) -> "JwtSettings":
        keys = [key for key in (self.jwks_url, self.jwks_file, self.key_file, self.secret) if key is not None]
        if len(keys) != 1:
            raise ValueError("set exactly one of jwks_url, jwks_file, key_file and secret")
        if self.algorithm.startswith("HS") is not (self.secret is not None):
            raise ValueError("use `secret` with HS algorithms, and a public key with the others")
        return self
