"""API 4 by bearer token and by cookie, and what a signed-in person adds to the events of API 1."""

import json
import time
from collections.abc import Callable

import httpx
import pytest
from headgate.v1 import user_service_pb2 as users
from headgate.v1.user_service_pb2_grpc import UserServiceStub
from headgate_cli.api.admin_socket import admin_channel
from headgate_gateway.app_api.operation import ROLES
from joserfc import jwt
from joserfc.jwk import OctKey

SECRET = "a secret of thirty-two characters or more"
HEADGATE_TOML = f"""
[[jwt]]
issuer = "https://auth.example.com"
audience = "headgate"
algorithm = "HS256"
secret = "{SECRET}"

[limits]
rate = "40/60s"
"""
API_4 = "/api/v1/analytics/events"
PAGE = {"event": "page_visit", "page": {"href": "https://example.com/pricing"}}
COOKIE = "better-auth.session_token"


def token(**changes: object) -> str:
    claims = {
        "iss": "https://auth.example.com",
        "aud": "headgate",
        "sub": "machine-7",
        "exp": int(time.time()) + 60,
        "scope": "events:write",
        "project": "default",
        **changes,
    }
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET), ["HS256"])


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


Person = Callable[..., httpx.Client]


@pytest.fixture(scope="module")
def person(headgate) -> Person:
    """Makes a person with roles, who is signed in from a page of this origin."""

    def make(name: str, *members: str) -> httpx.Client:
        roles = [member.split(":") for member in members]
        request = users.CreateUserRequest(
            email=f"{name}@example.com",
            password="a good password",
            memberships=[{"project": project, "role": ROLES[role]} for project, role in roles],
        )
        with admin_channel(headgate.data_dir) as channel:
            UserServiceStub(channel).CreateUser(request, timeout=20)
        client = httpx.Client(base_url=headgate.http, headers={"Origin": headgate.http}, timeout=20)
        login = {"email": f"{name}@example.com", "password": "a good password"}
        assert client.post("/api/auth/login", json=login).status_code == 200
        return client

    return make


def worded(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert (body["ok"], set(body) - {"details"}) == (False, {"ok", "code", "message"})
    return answer.status_code, body["code"]


def test_a_jwt_writes_into_the_project_it_names(client, headgate, wait_until):
    answer = client.post(API_4, json=PAGE | {"eventId": "by-jwt"}, headers=bearer(token()))
    assert answer.json()["data"]["data"]["eventId"] == "by-jwt"
    wait_until(lambda: "by-jwt" in {event["eventId"] for event in headgate.written()}, "the event is delivered")
    assert client.post(API_4, json=PAGE, headers=bearer(token(project=["default", "nowhere"]))).status_code == 200


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"scope": "analytics:read"}, (403, "forbidden")),
        ({"scope": None}, (403, "forbidden")),
        ({"project": "nowhere"}, (403, "forbidden")),
        ({"project": None}, (403, "forbidden")),
        ({"exp": 1}, (401, "unauthorized")),
        ({"aud": "other"}, (401, "unauthorized")),
        ({"iss": "https://other.example.com"}, (401, "unauthorized")),
        ({"sub": None}, (401, "unauthorized")),
    ],
    ids=str,
)
def test_a_jwt_that_may_not_is_told_so(client, changes, expected):
    assert worded(client.post(API_4, json=PAGE, headers=bearer(token(**changes)))) == expected


def test_the_first_present_of_key_bearer_and_cookie_is_used(client, headgate, person):
    eve = person("first", "default:member")
    key = headgate.json("key", "create", "--project", "default", "--kind", "organisation")["key"]
    assert client.post(API_4, json=PAGE, headers=bearer("x.y.z") | {"x-api-key": key}).status_code == 200
    assert worded(client.post(API_4, json=PAGE, headers=bearer(token()) | {"x-api-key": "org_live_x"}))[0] == 401
    assert worded(eve.post(API_4, json=PAGE, headers=bearer("x.y.z")))[0] == 401
    assert eve.post(API_4, json=PAGE).status_code == 200
    # An organisation key is a bearer token of this API; a secret key and a CLI's one-time token are not.
    assert client.post(API_4, json=PAGE, headers=bearer(key)).status_code == 200
    for text in (headgate.keys["secret"], "hgt_x"):
        assert worded(client.post(API_4, json=PAGE, headers=bearer(text)))[0] == 401


def test_a_persons_role_decides_and_the_cookie_needs_a_page_of_ours(client, person):
    member, viewer, stranger = person("member", "default:member"), person("viewer", "default:viewer"), person("none")
    assert member.post(API_4, json=PAGE).status_code == 200
    assert worded(viewer.post(API_4, json=PAGE)) == (403, "forbidden")
    assert worded(stranger.post(API_4, json=PAGE)) == (403, "forbidden")
    held = {"Cookie": f"{COOKIE}={member.cookies[COOKIE]}"}
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert worded(client.post(API_4, json=PAGE, headers=held | headers)) == (403, "forbidden")
    # A bearer token goes along by no browser's own doing.
    assert client.post(API_4, json=PAGE, headers=bearer(member.cookies[COOKIE])).status_code == 200
    assert worded(client.post(API_4, json=PAGE, headers={"Cookie": f"{COOKIE}=x"} | dict(member.headers)))[0] == 401
    assert worded(member.post(API_4, json={"event": "other"})) == (422, "validation_failed")
    dry = member.post(API_4, json=PAGE, headers={"Headgate-Dry-Run": "1"}).json()
    assert dry["dryRun"]["events"][0]["name"] == "page_visit"
    assert member.post("/api/auth/logout").status_code == 200


def test_with_several_projects_one_must_be_named(headgate, person):
    for slug in ("one", "two"):
        headgate.run("project", "create", slug)
    both = person("both", "one:member", "default:member", "two:viewer")
    assert worded(both.post(API_4, json=PAGE)) == (403, "forbidden")
    assert both.post(API_4, json=PAGE, headers={"X-Headgate-Project": "one"}).status_code == 200
    for other in ("two", "nowhere"):
        assert worded(both.post(API_4, json=PAGE, headers={"X-Headgate-Project": other})) == (403, "forbidden")


def test_a_project_that_a_person_may_only_look_at_is_not_what_they_mean(headgate, person):
    headgate.run("project", "create", "theirs")
    writer, viewer = person("writer", "default:member", "theirs:viewer"), person("viewer-of", "theirs:viewer")
    assert writer.post(API_4, json=PAGE).status_code == 200
    assert worded(viewer.post(API_4, json=PAGE)) == (403, "forbidden")


def test_each_person_has_a_rate_of_their_own(person):
    busy, other = person("busy", "default:member"), person("other", "default:member")
    statuses = [busy.post(API_4, json=PAGE).status_code for _ in range(41)]
    assert (statuses.count(200), statuses[-1]) == (40, 429)
    assert worded(busy.post(API_4, json=PAGE)) == (429, "rate_limited")
    assert other.post(API_4, json=PAGE).status_code == 200


def test_an_ended_session_writes_nothing_more(client, person, wait_until):
    leaver = person("leaver", "default:member")
    held = bearer(leaver.cookies[COOKIE])
    assert client.post(API_4, json=PAGE, headers=held).status_code == 200
    leaver.post("/api/auth/logout")
    wait_until(lambda: client.post(API_4, json=PAGE, headers=held).status_code == 401, "it is ended everywhere", 5)


def test_a_signed_in_person_adds_to_the_events_of_api_1_what_they_lack(client, headgate, person, wait_until):
    ada = person("ada", "default:admin")
    me = ada.get("/api/auth/session").json()["user"]
    events = [
        {"type": "lacks-all", "payload": {"at": "lacks"}},
        {"type": "has-all", "userId": "own", "payload": {"role": "own", "tenant": "own"}},
    ]

    def sent(by: httpx.Client, marker: str, headers: dict[str, str]) -> list[dict[str, object]]:
        body = {"events": [event | {"sessionId": marker} for event in events]}
        assert by.post("/api/analytics", json=body, headers=headers).json() == {"success": True, "received": 2}
        found = lambda: [event for event in headgate.written() if event.get("sessionId") == marker]  # noqa: E731
        wait_until(lambda: len(found()) == 2, "the events are delivered")
        return [(event.get("userId"), event["properties"]) for event in found()]

    own = ("own", {"role": "own", "tenant": "own"})
    mine = {"at": "lacks", "role": "admin", "tenant": me["organisationId"]}
    assert sent(ada, "by-cookie", {}) == [(me["id"], mine), own]
    assert sent(client, "by-bearer", bearer(ada.cookies[COOKIE])) == [(me["id"], mine), own]
    claims = token(role="editor", tenant="acme")
    assert sent(client, "by-jwt", bearer(claims)) == [
        ("machine-7", {"at": "lacks", "role": "editor", "tenant": "acme"}),
        own,
    ]
    for marker, headers in (
        ("nobody", {}),
        ("invalid", bearer("x.y.z")),
        ("unknown", {"Cookie": f"{COOKIE}=hgs_x"}),
        ("odd", {"Cookie": "=;;", "Authorization": "Basic x"}),
    ):
        assert sent(client, marker, headers) == [(None, {"at": "lacks"}), own], marker


def test_no_token_is_in_the_log(headgate):
    log = headgate.log_file.read_text()
    assert json.dumps(SECRET) not in log
    assert "eyJ" not in log
