"""Deploying a config, what it does to events of every API, and rolling it back, on a whole Headgate."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import jsonschema
import pytest
import yaml
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1 import admin_service_pb2_grpc as admin_grpc
from headgate.v1 import ingest_service_pb2 as ingest
from headgate.v1 import ingest_service_pb2_grpc as ingest_grpc
from headgate.v1 import outcome_pb2
from headgate.v1 import user_service_pb2 as user
from headgate.v1 import user_service_pb2_grpc as users_grpc
from headgate.v1.event_pb2 import Event
from headgate.v1.project_service_pb2 import CreateKeyRequest
from headgate.v1.project_service_pb2_grpc import ProjectServiceStub
from headgate_cli.main import app
from headgate_gateway.app_api.operation import KEY_KIND_NAMES as KINDS
from headgate_gateway.app_api.operation import ROLES
from typer.testing import CliRunner

CONFIG = """
events:
  "debug_*": {enabled: false}
  rare: {sample: 0}
  page_visit: {schema: {required: [plan]}, schemaMode: enforce}
  purchase:
    schemaMode: enforce
    schema: {type: object, required: [amount], properties: {amount: {type: number}}}
  signup: {schema: {required: [plan]}}
ignoredEnvironments: {origins: [localhost], fields: {properties.env: [dev]}}
pii: [{path: user_id, action: hash}, {path: properties.email, action: mask}]
ip: truncate
origins: ["https://shop.example"]
experiments: [{id: e1, variants: [{id: a}]}, {id: t1, test: true, variants: [{id: b}]}]
"""
EMPTY = {"formatVersion": 1}
PASSWORD = "correct horse battery staple"


@dataclass
class Tenant:
    """A project with its keys, and what opens things for its people."""

    slug: str
    keys: dict[str, str]
    people: dict[str, str]

    def bearer(self, role: str = "owner") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.people[role]}"}

    def both(self, role: str = "owner", key: str = "secret") -> dict[str, str]:
        return {**self.bearer(role), "X-API-Key": self.keys[key]}


@pytest.fixture
def tenant(headgate, client) -> Callable[..., Tenant]:
    """Makes a project with a person of each role named, who is logged in at a command line."""

    def make(*roles: str) -> Tenant:
        slug = f"p{secrets.token_hex(4)}"
        with grpc.insecure_channel(f"unix:{headgate.data_dir}/run/admin.sock") as channel:
            operator, users = admin_grpc.AdminServiceStub(channel), users_grpc.UserServiceStub(channel)
            made = operator.CreateProject(admin.CreateProjectRequest(name=slug, slug=slug))
            keys = {KINDS[key.kind]: key.key for key in made.keys}
            wanted = CreateKeyRequest(project=slug, kind=admin.KEY_KIND_ORGANISATION)
            keys["organisation"] = ProjectServiceStub(channel).CreateKey(wanted).key.key
            people = {role: _logged_in(users, client, slug, role) for role in roles or ("owner",)}
        return Tenant(slug, keys, people)

    return make


def _logged_in(users: users_grpc.UserServiceStub, client: httpx.Client, slug: str, role: str) -> str:
    email = f"{secrets.token_hex(4)}@example.com"
    member = user.CreateUserRequest.Membership(project=slug, role=ROLES[role])
    users.CreateUser(user.CreateUserRequest(email=email, password=PASSWORD, memberships=[member]))
    with httpx.Client(base_url=client.base_url) as browser:
        browser.post("/api/auth/login", json={"email": email, "password": PASSWORD}).raise_for_status()
        token = browser.post("/api/cli/tokens", headers={"Origin": str(client.base_url)}).json()["token"]
    made: str = client.post("/api/cli/validate", json={"token": token}).json()["accessToken"]
    return made


def failure(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def compiled(folder: Path, text: str = CONFIG) -> dict[str, Any]:
    file = folder / "headgate.yaml"
    file.write_text(text)
    made: dict[str, Any] = json.loads(CliRunner().invoke(app, ["deploy", "-f", str(file), "--compile"]).stdout)
    return made


def test_a_deploy_makes_a_version_and_the_same_config_again_none(client, tenant, tmp_path):
    own = tenant()
    config = compiled(tmp_path)
    first = client.post("/api/deploy", json=config, headers=own.both()).json()
    assert first["version"] == 1
    assert "/events/purchase" in first["changed"]
    assert client.post("/api/deploy", json=config, headers=own.both()).json() == {"version": 1, "changed": []}
    config["events"]["rare"]["sample"] = 0.5
    second = client.post("/api/deploy", json=config, headers=own.both()).json()
    assert second == {"version": 2, "changed": ["/events/rare/sample"]}
    history = client.get("/api/deploys", headers=own.both()).json()["deploys"]
    assert [(one["version"], one["active"]) for one in history] == [(2, True), (1, False)]
    by_slug = client.get("/api/deploys", params={"project": own.slug, "before": 2}, headers=own.bearer()).json()
    assert [one["version"] for one in by_slug["deploys"]] == [1]
    back = client.post("/api/deploys/1/activate", headers=own.both())
    assert back.json() == {"version": 1, "changed": ["/events/rare/sample"]}
    shown = client.get("/api/deploys/active", params={"project": own.slug}, headers=own.bearer()).json()
    assert (shown["version"], shown["config"]["events"]["rare"]["sample"]) == (1, 0)
    audit = client.get(f"/api/projects/{own.slug}/audit", headers=own.bearer()).json()["audit"]
    assert [(one["what"], one["target"]) for one in audit[:3]] == [
        ("deploy.activate", "1"),
        ("deploy.create", "2"),
        ("deploy.create", "1"),
    ]


def test_an_invalid_config_names_every_place_and_applies_nothing(client, tenant):
    own = tenant()
    client.post("/api/deploy", json=EMPTY, headers=own.both()).raise_for_status()
    bad = EMPTY | {"evnts": {}, "events": {"a/b": {"schema": {"$ref": "#"}}, "c": {"sample": 2}}, "project": "other"}
    answer = client.post("/api/deploy", json=bad, headers=own.both())
    assert failure(answer) == (422, "config_invalid")
    details = {detail["path"]: detail["message"] for detail in answer.json()["error"]["details"]}
    assert details["/evnts"] == 'unknown setting; did you mean "events"?'
    assert details["/events/c/sample"] == "must be a number from 0 to 1"
    for config, path in (
        (EMPTY | {"events": {"a/b": {"schema": {"$ref": "#"}}}}, "/events/a~1b/schema/$ref"),
        (EMPTY | {"project": "other"}, "/project"),
        ({}, "/formatVersion"),
        (EMPTY | {"sinks": [{"name": "x", "use": "jsonl"}]}, "/sinks/0/use"),
    ):
        answer = client.post("/api/deploy", json=config, headers=own.both())
        assert failure(answer) == (422, "config_invalid")
        assert path in {detail["path"] for detail in answer.json()["error"]["details"]}
    assert failure(client.post("/api/deploy", json=[], headers=own.both())) == (400, "invalid_argument")
    assert failure(client.post("/api/deploy", content=b"{", headers=own.both())) == (400, "bad_request")
    assert client.get("/api/deploys/active", headers=own.both()).json()["version"] == 1
    assert len(client.get("/api/deploys", headers=own.both()).json()["deploys"]) == 1


def test_a_config_with_very_many_faults_names_as_many_as_an_answer_holds(client, tenant):
    own = tenant()
    names = {f"a name of some length that is different each time {n}": {"sampel": 1, "enabeld": 1} for n in range(300)}
    answer = client.post("/api/deploy", json=EMPTY | {"events": names}, headers=own.both())
    assert failure(answer) == (422, "config_invalid")
    error = answer.json()["error"]
    assert 20 <= len(error["details"]) <= 100
    assert "more" in error["message"]


ROUTES = [
    ("POST", "/api/deploy", EMPTY),
    ("GET", "/api/deploys", None),
    ("GET", "/api/deploys/1", None),
    ("POST", "/api/deploys/1/activate", None),
]


def test_which_credential_opens_which_route(client, tenant):
    own = tenant("owner", "admin", "member", "viewer")
    client.post("/api/deploy", json=EMPTY, headers=own.both()).raise_for_status()
    here = {"project": own.slug}
    callers: dict[str, tuple[dict[str, str], dict[str, str]]] = {
        "nobody": ({}, here),
        "secret key alone": ({"X-API-Key": own.keys["secret"]}, here),
        "secret key as bearer": ({"Authorization": f"Bearer {own.keys['secret']}"}, here),
        "organisation key": ({"Authorization": f"Bearer {own.keys['organisation']}"}, here),
        "garbage": ({"Authorization": "Bearer hgc_x", "X-API-Key": own.keys["secret"]}, {}),
        "person alone": (own.bearer(), here),
        "person alone, no project": (own.bearer(), {}),
        "public key": (own.both(key="public"), {}),
        "test key": (own.both(key="test"), {}),
        "unknown key": (own.bearer() | {"X-API-Key": "sk_live_x"}, {}),
        "viewer": (own.both("viewer"), {}),
        "member": (own.both("member"), {}),
        "admin": (own.both("admin"), {}),
        "owner": (own.both("owner"), {}),
    }
    #                            deploy list get activate
    table = {
        "nobody":                   (401, 401, 401, 401),
        "secret key alone":         (401, 401, 401, 401),
        "secret key as bearer":     (401, 403, 403, 403),
        "organisation key":         (401, 403, 403, 403),
        "garbage":                  (401, 401, 401, 401),
        "person alone":             (401, 200, 200, 200),
        "person alone, no project": (401, 400, 400, 400),
        "public key":               (403, 403, 403, 403),
        "test key":                 (403, 403, 403, 403),
        "unknown key":              (401, 401, 401, 401),
        "viewer":                   (403, 200, 200, 403),
        "member":                   (403, 200, 200, 403),
        "admin":                    (200, 200, 200, 200),
        "owner":                    (200, 200, 200, 200),
    }  # fmt: skip
    found = {
        name: tuple(
            client.request(method, path, params=query, headers=headers, json=body).status_code
            for method, path, body in ROUTES
        )
        for name, (headers, query) in callers.items()
    }  # fmt: skip
    assert found == table


def test_a_tenant_sees_and_touches_nothing_of_another(client, tenant):
    mine, theirs = tenant(), tenant()
    client.post("/api/deploy", json=EMPTY | {"ip": "drop"}, headers=theirs.both()).raise_for_status()
    crossed = mine.bearer() | {"X-API-Key": theirs.keys["secret"]}
    for method, path, body in ROUTES:
        for headers, query in (
            (mine.bearer(), {"project": theirs.slug}),
            (mine.both(), {"project": theirs.slug}),
            (crossed, {}),
            (crossed, {"project": mine.slug}),
        ):
            answer = client.request(method, path, params=query, headers=headers, json=body)
            assert answer.status_code in (401, 403, 404), (method, path, query, answer.text)
    assert client.get("/api/deploys", headers=mine.both()).json() == {"deploys": []}
    assert client.get("/api/deploys/active", headers=theirs.both()).json()["config"]["ip"] == "drop"


def test_a_change_by_cookie_needs_a_page_of_ours(client, headgate):
    owner = json.loads((headgate.data_dir / "first-start.json").read_text())["owner"]
    client.post("/api/auth/login", json=owner).raise_for_status()
    key = {"X-API-Key": headgate.keys["secret"]}
    assert failure(client.post("/api/deploy", json=EMPTY, headers=key)) == (403, "cross_origin")
    assert client.post("/api/deploy", json=EMPTY, headers=key | {"Origin": headgate.http}).status_code == 200


def test_versions_that_there_are_not_are_not_found(client, tenant):
    own = tenant()
    assert failure(client.post("/api/deploys/7/activate", headers=own.both())) == (404, "deploy_unknown")
    assert failure(client.get("/api/deploys/7", headers=own.both())) == (404, "deploy_unknown")
    assert failure(client.get("/api/deploys/x", headers=own.both())) == (400, "invalid_argument")
    assert client.get("/api/deploys/active", headers=own.both()).json() == {"version": 0, "config": None}
    assert client.post("/api/deploys/0/activate", headers=own.both()).json() == {"version": 0, "changed": []}


def test_the_published_schemas_are_served_and_take_what_is_compiled(client, tmp_path):
    written = client.get("/schemas/headgate.yaml.json")
    assert written.headers["content-type"] == "application/schema+json"
    jsonschema.validate(yaml.safe_load(CONFIG), written.json())
    jsonschema.validate(compiled(tmp_path), client.get("/schemas/compiled.json").json())
    reference = Path(__file__).parents[2] / "docs" / "reference"
    assert written.json() == json.loads((reference / "headgate.yaml.schema.json").read_text())


@pytest.fixture
def ruled(client, tenant, tmp_path, wait_until) -> Tenant:
    """A tenant whose events are judged by CONFIG."""
    own = tenant()
    client.post("/api/deploy", json=compiled(tmp_path), headers=own.both()).raise_for_status()
    probe = {"events": [{"eventName": "debug_x", "experimentId": "e", "sessionId": "s"}]}
    dry = {"X-public-key": own.keys["public"], "Headgate-Dry-Run": "1"}
    wait_until(
        lambda: "dropped" in client.post("/api/v1/analytics", json=probe, headers=dry).json()["dryRun"],
        "the config is in force",
    )
    return own


def xaiku(name: str, **fields: Any) -> dict[str, Any]:
    return {"eventName": name, "experimentId": "e", "sessionId": "s", **fields}


def real(name: str, **properties: Any) -> dict[str, Any]:
    moment = {"timestamp": "2026-11-25T12:00:00Z", "distinctId": "u", "sessionId": "s"}
    return {"event": name, **moment, "properties": properties}


def test_every_api_words_what_the_policy_says_in_its_own_way(client, headgate, ruled, wait_until):
    public, keyed = {"X-public-key": ruled.keys["public"]}, {"X-API-Key": ruled.keys["public"]}
    organisation = {"x-api-key": ruled.keys["organisation"]}
    batch = {"events": [xaiku("debug_1"), xaiku("signup"), xaiku("purchase", amount="x"), xaiku("purchase", amount=3)]}
    answer = client.post("/api/v1/analytics", json=batch, headers=public)
    fault = {"index": 2, "field": "properties.amount", "message": 'is not of type "number"'}
    assert answer.json() == {"success": True, "received": 3, "rejected": 1, "details": [fault]}
    assert answer.headers["headgate-warnings"] == "1"
    receipt = client.get(f"/v1/receipts/{answer.headers['headgate-receipt']}").json()
    counts = {name: receipt[name] for name in ("received", "accepted", "duplicate", "dropped", "refused")}
    assert counts == {"received": 4, "accepted": 2, "duplicate": 0, "dropped": 1, "refused": 1}

    refused = client.post("/", json=[real("view"), real("purchase")], headers=keyed)
    fault = {"index": 1, "field": "properties.amount", "message": "is required"}
    assert (refused.status_code, refused.json()) == (400, {"error": "Validation failed", "details": [fault]})
    assert client.post("/", json=[real("debug_1"), real("rare")], headers=keyed).json() == {
        "success": True,
        "events": 2,
    }

    visit = {"event": "page_visit", "page": {"href": "https://shop.example/"}}
    refused = client.post("/api/v1/analytics/events", json=visit, headers=organisation)
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")
    assert refused.json()["details"] == [{"path": "/properties/plan", "message": "is required"}]
    dev = visit | {"properties": {"env": "dev"}}
    dropped = client.post("/api/v1/analytics/events", json=dev, headers=organisation).json()["data"]["data"]
    assert dropped["accepted"] is True
    assert dropped["eventId"]

    channel = grpc.insecure_channel(headgate.grpc)
    sent = [Event(name="purchase"), Event(name="debug_1"), Event(name="signup", user_id="bob")]
    results = ingest_grpc.IngestServiceStub(channel).IngestEvents(
        ingest.IngestEventsRequest(events=sent), metadata=[("authorization", f"Bearer {ruled.keys['secret']}")]
    ).results  # fmt: skip
    assert [one.outcome for one in results] == [
        outcome_pb2.OUTCOME_REFUSED, outcome_pb2.OUTCOME_DROPPED, outcome_pb2.OUTCOME_ACCEPTED,
    ]  # fmt: skip
    assert list(results[2].warnings) == ["properties.plan: is required"]

    wait_until(lambda: _ledger(client, ruled)["refused"].get("SCHEMA") == 5, "the refusals are in the books")
    ledger = _ledger(client, ruled)
    assert ledger["dropped"] == {"IGNORED_ENVIRONMENT": 1, "SAMPLED": 1, "SWITCHED_OFF": 3}
    assert (ledger["accepted"], ledger["received"]) == (3, 3 + 5 + 5)


def _ledger(client: httpx.Client, own: Tenant) -> dict[str, Any]:
    rows = client.get(f"/api/projects/{own.slug}/usage", headers=own.bearer()).json()["ledger"]
    return rows[-1] if rows else {"refused": {}}


def test_origins_are_refused_ignored_or_taken_and_experiments_are_told(client, ruled):
    public = {"X-public-key": ruled.keys["public"]}
    batch = {"events": [xaiku("view")]}
    evil = client.post("/api/v1/analytics", json=batch, headers=public | {"Origin": "https://evil.example"})
    assert (evil.status_code, evil.json()) == (403, {"error": "Origin not allowed"})
    assert evil.headers["access-control-allow-origin"] == "https://evil.example"
    preflight = client.options(
        "/api/v1/analytics", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 204
    for origin, dropped in (("https://shop.example", 0), ("http://localhost:3000", 1)):
        answer = client.post("/api/v1/analytics", json=batch, headers=public | {"Origin": origin})
        receipt = client.get(f"/v1/receipts/{answer.headers['headgate-receipt']}").json()
        assert receipt["dropped"] == dropped

    def asked(**headers: str) -> list[str]:
        answer = client.get("/api/v1/experiments", headers=public | headers).json()
        return list(answer["experiments"])

    assert asked() == ["e1"]
    assert asked(**{"X-xaiku-test": "true"}) == ["e1", "t1"]
    assert asked(**{"X-experiment-ids": "t1, e1"}) == ["e1"]
    assert asked(**{"X-experiment-ids": "", "X-xaiku-test": "true"}) == ["e1", "t1"]


def test_what_is_written_holds_no_personal_data(client, headgate, ruled, wait_until):
    event = {
        "eventName": "view",
        "experimentId": "e",
        "sessionId": "s",
        "userId": "wilhelmina",
        "email": "wilhelmina@example.com",
    }
    client.post("/api/v1/analytics", json={"events": [event]}, headers={"X-public-key": ruled.keys["public"]})
    wait_until(lambda: any(one["name"] == "view" and one.get("userId") for one in headgate.written()), "it is written")
    (stored,) = (one for one in headgate.written() if one["name"] == "view" and one.get("userId"))
    assert stored["properties"]["email"] == "***"
    assert len(stored["userId"]) == 32
    assert "wilhelmina" not in json.dumps(headgate.written())
    assert "wilhelmina" not in headgate.log_file.read_text()


@pytest.fixture
def as_person(headgate, monkeypatch, tmp_path) -> Callable[..., Any]:
    """Runs `headgate deploy` as a person who is logged in, in a folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADGATE_CREDENTIALS", str(tmp_path / "credentials.json"))
    monkeypatch.delenv("HEADGATE_SECRET_KEY", raising=False)

    def run(own: Tenant, *arguments: str, role: str = "owner") -> Any:
        login = {"url": headgate.http, "accessToken": own.people[role], "email": "x@example.com", "expiresAt": "2030"}
        (tmp_path / "credentials.json").write_text(json.dumps(login))
        return CliRunner().invoke(app, ["deploy", *arguments])

    return run


def test_the_command_deploys_shows_what_changes_and_rolls_back(headgate, tenant, tmp_path, as_person):
    own = tenant()
    (tmp_path / "purchase.json").write_text('{"required": ["amount"]}')
    (tmp_path / "headgate.yaml").write_text(f"project: {own.slug}\nevents: {{purchase: {{schema: purchase.json}}}}\n")
    key = ("--key", own.keys["secret"])
    tried = as_person(own, "--dry-run", *key)
    assert tried.exit_code == 0
    assert "/events/purchase: none ->" in tried.stdout
    assert json.loads(as_person(own, "history", *key, "--json").stdout) == {"deploys": []}
    done = as_person(own, *key, "--json")
    assert json.loads(done.stdout) == {"version": 1, "changed": ["/events/purchase", "/project"]}
    (tmp_path / "headgate.yaml").write_text("ip: drop\n")
    assert "Version 2 is active." in as_person(own, *key, "--yes").stdout
    again = as_person(own, *key)
    assert "nothing changes" in again.stdout
    back = as_person(own, "activate", "1", "--project", own.slug, "--json")
    assert json.loads(back.stdout)["version"] == 1
    shown = json.loads(as_person(own, "show", *key).stdout)
    assert shown["events"]["purchase"]["schema"] == {"required": ["amount"]}
    # The operator needs no key, and names the project instead.
    operator = headgate.run("deploy", "-f", str(tmp_path / "headgate.yaml"), "--project", own.slug, "--json")
    assert json.loads(operator.stdout)["version"] == 3


def test_the_command_says_what_is_wrong_and_deploys_nothing(tenant, tmp_path, as_person):
    own = tenant()
    key = ("--key", own.keys["secret"])
    missing = as_person(own, *key)
    assert (missing.exit_code, "headgate.yaml cannot be read" in missing.stderr) == (2, True)
    (tmp_path / "headgate.yaml").write_text("events: {a: {sampel: 1}}")
    wrong = as_person(own, *key)
    assert wrong.exit_code == 1
    assert '/events/a/sampel: unknown setting; did you mean "sample"?' in wrong.stderr
    (tmp_path / "headgate.yaml").write_text("project: somebody-elses")
    foreign = as_person(own, *key)
    assert foreign.exit_code == 1
    assert "/project:" in foreign.stderr
    (tmp_path / "headgate.yaml").write_text("ip: drop")
    assert as_person(own).exit_code == 2
    assert "secret key" in as_person(own, "--key", "sk_live_x").stderr
    assert json.loads(as_person(own, "history", *key, "--json").stdout) == {"deploys": []}
