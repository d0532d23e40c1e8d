"""Which bearer JWTs are believed, and what they may do."""

import asyncio
import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from headgate_service.auth.jwts import AGAIN_SECONDS, FRESH_SECONDS, Jwts
from headgate_service.errors import CredentialInvalid, KeysUnavailable
from headgate_service.model.jwt_issuer import JwtIssuer, KeysInvalid
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey
from joserfc.util import urlsafe_b64encode

NOW = 1_800_000_000
ISSUER, AUDIENCE = "https://auth.example.com", "headgate"
RSA = RSAKey.generate_key(2048, {"kid": "r"})
EC = ECKey.generate_key("P-256", {"kid": "e"})
SECRET = "a secret of thirty-two characters or more"


def jwks(*keys, **more) -> str:
    return json.dumps({"keys": [{**key.as_dict(private=False), **more} for key in keys]})


def issuer(**changes) -> JwtIssuer:
    return JwtIssuer(**{"issuer": ISSUER, "audience": AUDIENCE, "algorithm": "RS256", "jwks": jwks(RSA), **changes})


def claims(**changes) -> dict[str, object]:
    made = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "someone",
        "exp": NOW + 60,
        "scope": "events:write analytics:read",
        "project": "shop",
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def signed(key=RSA, algorithm: str = "RS256", header=None, **changes) -> str:
    return jwt.encode({"alg": algorithm, "kid": key.kid, **(header or {})}, claims(**changes), key, [algorithm])


def signed_as_it_is(header=None, **changes) -> str:
    """Signed by RSA with RS256, whatever the header says."""
    head = {"alg": "RS256", "typ": "JWT", "kid": "r", **(header or {})}
    head = {name: value for name, value in head.items() if value is not None}
    parts = (json.dumps(part).encode() for part in (head, claims(**changes)))
    text = ".".join(urlsafe_b64encode(part).decode() for part in parts)
    signature = RSA.private_key.sign(text.encode(), PKCS1v15(), SHA256())
    return f"{text}.{urlsafe_b64encode(signature).decode()}"


async def nothing_to_fetch(url: str) -> bytes:
    raise AssertionError(f"{url} is fetched")


def verifier(*issuers: JwtIssuer, fetch=nothing_to_fetch, clock=time.monotonic) -> Jwts:
    return Jwts(issuers or (issuer(),), fetch, now=lambda: NOW, clock=clock)


async def test_a_good_token_says_who_it_speaks_for():
    principal = await verifier().principal(signed())
    assert principal.credential_id == f"{ISSUER} someone"
    assert principal.scopes == {"events:write", "analytics:read"}
    assert principal.project_ids == {"shop"}


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(EC, "ES256"), (OKPKey.generate_key("Ed25519", {"kid": "o"}), "EdDSA"), (RSA, "PS256")],
)
async def test_other_algorithms(key, algorithm):
    own = verifier(issuer(algorithm=algorithm, jwks=jwks(key)))
    assert (await own.principal(signed(key, algorithm))).scopes


async def test_a_pem_key_and_a_secret():
    assert await verifier(issuer(jwks="", key=RSA.as_pem(private=False).decode())).principal(signed())
    secret = verifier(issuer(jwks="", key=SECRET, algorithm="HS256"))
    assert await secret.principal(signed(OctKey.import_key(SECRET, {"kid": "s"}), "HS256"))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://auth.example.com/"},
        {"iss": None},
        {"iss": ["https://auth.example.com"]},
        {"aud": "other"},
        {"aud": ["other", "third"]},
        {"aud": None},
        {"aud": {"headgate": 1}},
        {"exp": NOW - 31},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"nbf": NOW + 31},
        {"nbf": "soon"},
        {"iat": NOW + 31},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 300},
        {"header": {"typ": "id+jwt"}},
        {"header": {"typ": None}},
        {"header": {"typ": 7}},
        {"header": {"kid": "another"}},
        {"header": {"crit": ["x"], "x": 1}},
    ],
    ids=str,
)
async def test_what_is_refused(changes):
    assert await verifier().principal(signed_as_it_is())
    with pytest.raises(CredentialInvalid):
        await verifier().principal(signed_as_it_is(**changes))


@pytest.mark.parametrize("changes", [{"aud": ["other", AUDIENCE]}, {"exp": NOW - 29}, {"nbf": NOW + 29}, {"iat": NOW}])
async def test_what_is_still_good(changes):
    assert await verifier().principal(signed(**changes))


def forged(header: dict[str, object], signature: bytes = b"", **changes) -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims(**changes)).encode(), signature)
    return ".".join(urlsafe_b64encode(part).decode() for part in parts)


async def test_no_algorithm_but_the_issuers_counts():
    own = verifier()
    public = RSA.as_pem(private=False)
    confused = jwt.encode(
        {"alg": "HS256", "kid": "r"}, claims(), OctKey.import_key(RSA.as_dict(private=False)["n"]), algorithms=["HS256"]
    )
    texts = [
        *(forged({"alg": name, "typ": "JWT", "kid": "r"}) for name in ("none", "None", "NONE", "RS256", "")),
        forged({"typ": "JWT"}),
        forged({"alg": "RS256", "typ": "JWT", "kid": "r", "jwk": RSA.as_dict(private=False)}, b"x" * 256),
        confused,
        signed(algorithm="RS384"),
        signed(algorithm="PS256"),
        signed(EC, "ES256", {"kid": "r"}),
        signed(RSAKey.generate_key(2048, {"kid": "r"})),
    ]
    for text in texts:
        with pytest.raises(CredentialInvalid):
            await own.principal(text)
    with pytest.raises(KeysInvalid):
        issuer(jwks="", key=public.decode(), algorithm="HS256").own_keys()


async def test_one_issuer_does_not_speak_for_another():
    other = ECKey.generate_key("P-256", {"kid": "r"})
    both = verifier(issuer(), issuer(issuer="https://other.example.com", algorithm="ES256", jwks=jwks(other)))
    with pytest.raises(CredentialInvalid):
        await both.principal(signed(iss="https://other.example.com"))
    assert await both.principal(signed(other, "ES256", iss="https://other.example.com"))


@pytest.mark.parametrize(
    "text", ["..", "a.b.c", "e30.e30.e30", "W10.W10.", "MQ.MQ.", f"{'[' * 99}.{'[' * 99}.x", "ü.ü.ü"]
)
async def test_what_is_no_token_is_refused(text):
    with pytest.raises(CredentialInvalid):
        await verifier().principal(text)


async def test_a_changed_token_is_refused():
    head, payload, signature = signed().split(".")
    elevated = urlsafe_b64encode(json.dumps(claims(project="other")).encode()).decode()
    for text in (f"{head}.{elevated}.{signature}", f"{head}.{payload}.{signature[:-4]}AAAA", f"{head}.{payload}."):
        with pytest.raises(CredentialInvalid):
            await verifier().principal(text)


@pytest.mark.parametrize(
    ("settings", "said", "scopes", "projects"),
    [
        ({}, {"scope": ["a", "b", 3]}, {"a", "b"}, {"shop"}),
        ({}, {"scope": None, "project": None}, set(), set()),
        ({"scopes": {"ingest": ("events:write",)}}, {"scope": "ingest events:write"}, {"events:write"}, {"shop"}),
        ({"scope_claim": "permissions"}, {"permissions": ["x"]}, {"x"}, {"shop"}),
        ({}, {"project": ["a", "b"]}, {"events:write", "analytics:read"}, {"a", "b"}),
        ({"projects": frozenset({"shop", "b"})}, {"project": None}, {"events:write", "analytics:read"}, {"shop", "b"}),
        ({"projects": frozenset({"b"})}, {"project": ["a", "b"]}, {"events:write", "analytics:read"}, {"b"}),
        ({"projects": frozenset({"b"})}, {"project": "a"}, {"events:write", "analytics:read"}, set()),
    ],
)
async def test_scopes_and_projects_are_those_that_token_and_operator_grant(settings, said, scopes, projects):
    principal = await verifier(issuer(**settings)).principal(signed(**said))
    assert (principal.scopes, principal.project_ids) == (scopes, projects)


class Published:
    """Keys at a URL, and how often they were fetched; a clock that tests move."""

    def __init__(self, *keys) -> None:
        self.keys, self.fetched, self.now, self.fails = keys, 0, 1_000.0, False

    async def fetch(self, url: str) -> bytes:
        self.fetched += 1
        await asyncio.sleep(0)
        if self.fails:
            raise OSError("no route")
        return jwks(*self.keys).encode()

    def verifier(self) -> Jwts:
        own = issuer(jwks="", jwks_url="https://auth.example.com/jwks")
        return verifier(own, fetch=self.fetch, clock=lambda: self.now)


async def test_published_keys_are_fetched_once_and_again_when_old():
    published = Published(RSA)
    own = published.verifier()
    await asyncio.gather(*(own.principal(signed()) for _ in range(20)))
    assert published.fetched == 1
    published.now += FRESH_SECONDS + 1
    await own.principal(signed())
    assert published.fetched == 2


async def test_a_new_key_is_found_and_unknown_ones_do_not_make_it_ask_often():
    published = Published(RSA)
    own = published.verifier()
    await own.principal(signed())
    new = RSAKey.generate_key(2048, {"kid": "new"})
    published.keys = (RSA, new)
    published.now += AGAIN_SECONDS + 1
    await own.principal(signed(new))
    for number in range(20):
        with pytest.raises(CredentialInvalid):
            await own.principal(signed(header={"kid": f"k{number}"}))
    assert published.fetched == 2


async def test_known_keys_outlive_their_issuer_and_without_any_it_cannot_be_told():
    published = Published(RSA)
    own = published.verifier()
    published.fails = True
    with pytest.raises(KeysUnavailable):
        await own.principal(signed())
    published.fails, published.now = False, published.now + AGAIN_SECONDS + 1
    await own.principal(signed())
    published.fails, published.now = True, published.now + FRESH_SECONDS + 1
    await own.principal(signed())


def test_keys_that_do_not_fit_are_left_out_and_their_absence_is_said():
    assert [key.kid for key in issuer(jwks=jwks(RSA, EC)).own_keys()] == ["r"]
    for text in (jwks(EC), jwks(RSA, use="enc"), jwks(RSA, alg="RS512"), "{}", "[]", "x", '{"keys": [1]}'):
        with pytest.raises(KeysInvalid):
            issuer(jwks=text).own_keys()
    assert SECRET not in repr(issuer(jwks="", key=SECRET))
    assert KeySet([RSA])
