"""Every route of the app API and every kind of credential: a table, and what it says of each pair.

A route that no row names must at least open to nobody who shows nothing.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from headgate_cli.main import app
from headgate_gateway.app_api.operation import Operation
from headgate_gateway.app_api.routes import OPERATIONS
from typer.testing import CliRunner

# What a caller is told who may not even know that the project is there, and who may not do what they ask.
UNKNOWN = {"project_unknown", "key_unknown"}
DENIED = {"role_missing", "scope_missing", "person_required", "session_required"}
UNAUTHORIZED = {"credential_missing", "credential_invalid"}
RANKS = ("viewer", "member", "admin", "owner")


@dataclass(frozen=True)
class Door:
    """The least role that a route takes, and a body and query that would do something."""

    least: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)


# By method and path; `{project}`, `{key}` and so on are Ada's. The last row ends her project.
DOORS: dict[tuple[str, str], Door] = {
    ("GET", "/api/projects/{project}"): Door("viewer"),
    ("GET", "/api/projects/{project}/members"): Door("viewer"),
    ("GET", "/api/projects/{project}/usage"): Door("viewer"),
    ("GET", "/api/projects/{project}/sinks"): Door("viewer"),
    ("GET", "/api/projects/{project}/dead-letters"): Door("viewer"),
    ("GET", "/api/projects/{project}/dead-letters/{letter}"): Door("viewer"),
    ("GET", "/api/projects/{project}/events"): Door("viewer", query={"follow": "false", "last": "5"}),
    ("POST", "/api/projects/{project}/dead-letters/retry"): Door("member", {"sink": "jsonl"}),
    ("POST", "/api/projects/{project}/dead-letters/purge"): Door("admin", {"sink": "jsonl"}),
    ("PATCH", "/api/projects/{project}"): Door("admin", {"timezone": "UTC"}),
    ("GET", "/api/projects/{project}/keys"): Door("admin"),
    ("POST", "/api/projects/{project}/keys"): Door("admin", {"kind": "public"}),
    ("POST", "/api/projects/{project}/keys/{key}/rotate"): Door("admin"),
    ("POST", "/api/keys/{key}/rotate"): Door("admin"),
    ("DELETE", "/api/projects/{project}/keys/{key}"): Door("admin"),
    ("DELETE", "/api/keys/{key}"): Door("admin"),
    ("PUT", "/api/projects/{project}/members/{user}"): Door("admin", {"role": "viewer"}),
    ("DELETE", "/api/projects/{project}/members/{user}"): Door("admin"),
    ("GET", "/api/projects/{project}/audit"): Door("admin"),
    # Without a secret key the query names the project; with one, and `POST /api/deploy`: test_deploys.py.
    ("GET", "/api/deploys"): Door("viewer", query={"project": "ada"}),
    ("GET", "/api/deploys/{version}"): Door("viewer", query={"project": "ada"}),
    ("POST", "/api/deploys/{version}/activate"): Door("admin", query={"project": "ada"}),
    ("DELETE", "/api/projects/{project}"): Door("owner"),
}


def operation_id(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


@dataclass
class World:
    """Ada's project and what belongs to it, people by their role in it, and every other kind of credential."""

    client: httpx.Client
    parts: dict[str, str]
    sessions: dict[str, str]
    credentials: dict[str, str]

    def ask(self, operation: Operation, door: Door, credential: str) -> httpx.Response:
        headers = bearer(credential) if credential else {}
        path = operation.url(self.parts)
        return self.client.request(operation.method, path, headers=headers, json=door.body, params=door.query)


def code(answer: httpx.Response) -> str:
    return "" if answer.status_code < 300 else str(answer.json()["error"]["code"])


@pytest.fixture(scope="module")
def world(headgate: Any) -> Iterator[World]:
    sessions, tokens = {}, {}
    for name in ("stranger", "nobody", *RANKS):
        email, password = f"{name}@example.com", f"the password of {name}"
        words = ["user", "create", email, "--password-stdin", "--data-dir", str(headgate.data_dir)]
        assert CliRunner().invoke(app, words, input=f"{password}\n").exit_code == 0
        with httpx.Client(base_url=headgate.http, headers={"Origin": headgate.http}) as browser:
            assert browser.post("/api/auth/login", json={"email": email, "password": password}).status_code == 200
            sessions[name] = str(browser.cookies["better-auth.session_token"])
            token = browser.post("/api/cli/tokens").json()["token"]
        tokens[name] = str(httpx.post(f"{headgate.http}/api/cli/validate", json={"token": token}).json()["accessToken"])
    with httpx.Client(base_url=headgate.http, headers={"Authorization": f"Bearer {sessions['owner']}"}) as owner:
        made = owner.post("/api/projects", json={"name": "Ada", "slug": "ada"}).json()
        organisation = owner.post("/api/projects/ada/keys", json={"kind": "organisation"}).json()["key"]
        for role in RANKS[:-1]:
            assert owner.put(f"/api/projects/ada/members/{role}@example.com", json={"role": role}).status_code == 200
        key = owner.get("/api/projects/ada/keys").json()["keys"][0]["id"]
    client = httpx.Client(base_url=headgate.http, timeout=20)
    client.post("/api/projects", headers=bearer(sessions["stranger"]), json={"name": "Other"})
    yield World(
        client,
        {"project": "ada", "key": key, "user": "nobody@example.com", "letter": "1-1", "version": "1"},
        sessions,
        {
            "nothing": "",
            "nonsense": "hgs_nonsense",
            "a public key": made["keys"]["public"],
            "a test key": made["keys"]["test"],
            "a secret key": made["keys"]["secret"],
            "an organisation key": organisation,
            "a stranger's session": sessions["stranger"],
            "a stranger's command line": tokens["stranger"],
            "an owner's command line": tokens["owner"],
        },
    )
    client.close()


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_every_route_of_a_project_has_a_row() -> None:
    named = {(one.method, one.path) for one in OPERATIONS if re.search(r"{(project|key|version)}|/deploys$", one.path)}
    assert named == set(DOORS)


# To sign out and to be signed out already is the same.
@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if not (one.open or one.path == "/api/auth/logout")], ids=operation_id
)
def test_without_a_credential_nothing_opens(world: World, operation: Operation) -> None:
    door = DOORS.get((operation.method, operation.path))
    if door is None:
        wanted = {one.name: "x" for one in operation.body if one.required}
        door = Door("", wanted if operation.body or operation.whole_body else None)
    for kind in ("nothing", "nonsense"):
        answer = world.ask(operation, door, world.credentials[kind])
        assert answer.status_code == 401, (kind, answer.text)


@pytest.mark.parametrize("place", DOORS, ids=" ".join)
def test_a_credential_opens_what_the_table_says(world: World, place: tuple[str, str]) -> None:
    door = DOORS[place]
    (operation,) = [one for one in OPERATIONS if (one.method, one.path) == place]

    def told(credential: str) -> str:
        return code(world.ask(operation, door, credential))

    kinds = world.credentials
    for kind in ("a public key", "a test key", "a secret key"):
        assert told(kinds[kind]) in UNAUTHORIZED, kind
    assert told(kinds["an organisation key"]) in DENIED
    for kind in ("a stranger's session", "a stranger's command line"):
        answer = world.ask(operation, door, kinds[kind])
        assert (answer.status_code, code(answer) in UNKNOWN) == (404, True), kind
    for role in RANKS:
        if RANKS.index(role) < RANKS.index(door.least) and not leaves(place):
            assert told(world.sessions[role]) in DENIED, role
    if place == list(DOORS)[-1]:
        # Who was let in here ended it for all that follow.
        assert told(kinds["an owner's command line"]) == ""
        assert told(world.sessions["owner"]) in UNKNOWN
        return
    for role in RANKS[RANKS.index(door.least) :]:
        assert told(world.sessions[role]) not in UNAUTHORIZED | DENIED | {"project_unknown"}, role
    assert told(kinds["an owner's command line"]) not in UNAUTHORIZED | DENIED | {"project_unknown"}


def leaves(place: tuple[str, str]) -> bool:
    """Anyone may end a membership that is their own, so that who is no member is told so."""
    return place == ("DELETE", "/api/projects/{project}/members/{user}")
