"""Issuers of JWTs, and what a verified token of theirs means."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet
from joserfc.jwt import Claims

from headgate_service.errors import CredentialInvalid
from headgate_service.model.principal import Principal, PrincipalKind

_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP", "HS": "oct"}
_MAX_SUBJECT = 255


class KeysInvalid(ValueError):
    """An issuer's keys cannot be used; the message does not show them."""


@dataclass(frozen=True, slots=True)
class JwtIssuer:
    """Whose tokens are believed, and how they are read. One of `jwks_url`, `jwks` (text), `key` (PEM or secret).

    `types` are what the header `typ` may be, in lower case, empty for none. `scopes` maps the issuer's scopes to
    Headgate's; None: they are the same. `projects` are those its tokens may enter; None: whichever they name.
    """

    issuer: str
    audience: str
    algorithm: str
    jwks_url: str = ""
    jwks: str = ""
    key: str = field(default="", repr=False)
    types: frozenset[str] = frozenset({"jwt", "at+jwt"})
    scope_claim: str = "scope"
    scopes: Mapping[str, tuple[str, ...]] | None = None
    project_claim: str = "project"
    projects: frozenset[str] | None = None

    @property
    def key_type(self) -> str:
        """The type of key that its algorithm takes: no other is ever tried."""
        return _KEY_TYPES[self.algorithm[:2]]

    def own_keys(self) -> KeySet | None:
        """The keys it is configured with; None where they are at a URL. Raises KeysInvalid."""
        if self.jwks_url:
            return None
        return self.keys_of(self.jwks) if self.jwks else KeySet([self._own_key()])

    def keys_of(self, jwks: str | bytes) -> KeySet:
        """Those keys of a JSON Web Key Set that its algorithm can use. Raises KeysInvalid."""
        try:
            found = json.loads(jwks)["keys"]
            fitting = [one for one in found if one.get("kty") == self.key_type and one.get("use", "sig") == "sig"]
            keys = [JWKRegistry.import_key(one) for one in fitting if one.get("alg", self.algorithm) == self.algorithm]
        except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise KeysInvalid(f"no JSON Web Key Set that can be used: {type(error).__name__}") from None
        if not keys:
            raise KeysInvalid(f"the JSON Web Key Set has no key for {self.algorithm}")
        return KeySet(keys)

    def principal(self, claims: Claims) -> Principal:
        """Who a token speaks for, whose signature and times were checked. Raises CredentialInvalid."""
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 1 <= len(subject) <= _MAX_SUBJECT:
            raise CredentialInvalid("the token has no subject")
        return Principal(
            PrincipalKind.JWT,
            scopes=self._scopes(claims),
            project_ids=self._projects(claims),
            credential_id=f"{self.issuer} {subject}",
            organisation_id=_text(claims, "tenant") or None,
            subject=subject,
            claimed_role=_text(claims, "role"),
        )

    def _scopes(self, claims: Claims) -> frozenset[str]:
        said = _words(claims.get(self.scope_claim))
        if self.scopes is None:
            return said
        return frozenset(scope for word in said for scope in self.scopes.get(word, ()))

    def _projects(self, claims: Claims) -> frozenset[str]:
        named = claims.get(self.project_claim)
        said = frozenset([named]) if isinstance(named, str) else _words(named)
        if self.projects is None:
            return said
        return self.projects & said if named is not None else self.projects

    def _own_key(self) -> Key:
        begins_as_pem = self.key.lstrip().startswith("-----BEGIN")
        if begins_as_pem is (self.key_type == "oct"):
            raise KeysInvalid(f"{self.algorithm} takes {'a secret' if begins_as_pem else 'a PEM file'}, not this")
        try:
            return JWKRegistry.import_key(self.key, self.key_type)
        except (JoseError, ValueError, TypeError) as error:
            raise KeysInvalid(f"no key for {self.algorithm}: {type(error).__name__}") from None


def _text(claims: Claims, name: str) -> str:
    value = claims.get(name)
    return value[:_MAX_SUBJECT] if isinstance(value, str) else ""


def _words(value: Any) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset(value.split())
    return frozenset(one for one in value if isinstance(one, str)) if isinstance(value, list) else frozenset()
