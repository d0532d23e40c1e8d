"""`[accounts]` and `[[jwt]]` of headgate.toml: how people sign in, and whose tokens are believed."""

from typing import Literal

from pydantic import Field, model_validator

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
    """How people sign in, and for how long."""

    owner: str = "owner@localhost"
    """E-mail address of the account that the first start makes; its password is in `first-start.json`."""

    session_idle: SecondsSetting = 86400
    """How long a session lasts without use, as `24h`."""

    session_longest: SecondsSetting = 14 * 86400
    """How long a session lasts at most."""

    cli_token: SecondsSetting = 90 * 86400
    """How long the access token of a command line lasts."""

    login_attempts: RateSetting = Rate(requests=10, window_seconds=900)
    """Failed attempts to sign in to one account, in a window that starts with the first."""

    address_attempts: RateSetting = Rate(requests=50, window_seconds=900)
    """Failed attempts to sign in from one network address."""


class JwtSettings(Section):
    """An issuer of bearer JWTs that are believed. Give one of `jwks_url`, `jwks_file`, `key_file` and `secret`."""

    issuer: str = Field(min_length=1)
    """What the claim `iss` must be."""

    audience: str = Field(min_length=1)
    """What the claim `aud` must be, or hold."""

    algorithm: Algorithm
    """The one algorithm its tokens are signed by."""

    jwks_url: str | None = Field(default=None, pattern=r"^https?://")
    """Where its public keys are published. They are asked for again every 10 minutes, and for a key that is not known at most every 30 seconds."""  # noqa: E501

    jwks_file: PathSetting | None = None
    """File with its public keys, as a JSON Web Key Set."""

    key_file: PathSetting | None = None
    """PEM file with its public key."""

    secret: str | None = Field(default=None, repr=False, min_length=32)
    """The secret that an HS algorithm signs with: at least 32 characters. Better a public key of another algorithm."""

    types: tuple[str, ...] = ("JWT", "at+jwt")
    """What the header `typ` may be; an empty text admits tokens without it."""

    scope_claim: str = "scope"
    """The claim with the token's scopes: words in one text, or a list of texts."""

    scopes: dict[str, tuple[str, ...]] | None = None
    """The issuer's scope -> the scopes of Headgate that it stands for, as `{"ingest" = ["events:write"]}`; others count nothing. Absent: its scopes are Headgate's."""  # noqa: E501

    project_claim: str = "project"
    """The claim that names the token's project, or a list of them, by slug or id."""

    projects: tuple[str, ...] = ("*",)
    """Slugs of the projects its tokens may enter: those of them that the token names, or all of them where it names none. `["*"]`: whichever the token names."""  # noqa: E501

    @model_validator(mode="after")
    def _one_key(self) -> "JwtSettings":
        given = [one for one in (self.jwks_url, self.jwks_file, self.key_file, self.secret) if one is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of jwks_url, jwks_file, key_file and secret")
        if self.algorithm.startswith("HS") is not (self.secret is not None):
            raise ValueError("`secret` goes with the HS algorithms, and these with it: the others take public keys")
        return self
