"""Which credential opens which door: a table of every route and every gRPC method, and the test that is the table.

A new route or method fails here until it has a row. A row says what becomes of each kind of caller: `in`, or refused by
401, by 403, or by a 404 that tells nothing of what is there. Callers:

- nobody; public, secret: keys of project `default`; org: an organisation key of it with the scope events:write
- session: the cookie of its owner, from a page of this origin; viewer: the same of a viewer; cli: the owner's access
  token; page: the owner's cookie from no page of this origin
- jwt: a token for the project with the scopes events:write and analytics:read
- stranger: the cookie of the owner of another organisation's project
"""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
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
"""
COOKIE = "better-auth.session_token"
PASSWORD = "a good password"
KEYS = ("public", "secret", "org")
CALLERS = ("nobody", *KEYS, "session", "viewer", "cli", "jwt", "stranger", "page")

#           nobody public secret org session viewer cli jwt stranger page
ANYBODY = "    in     in     in  in      in     in  in  in       in   in"
PUBLIC = "    401     in    401 401     401    401 401 401      401  401"
VENDOR = "    401    401    401 401     401    401 401 401      401  401"
PERSON = "    401    401    403 403      in     in  in 403       in   in"
CHANGER = "   401    401    403 403      in     in  in 403       in  403"
SIGNED_IN = " 401    401    401 401      in     in  in 401       in   in"
SESSION = "   401    401    401 401      in     in 403 401       in  403"
VIEWER = "    401    401    403 403      in     in  in 403      404   in"
LEAVER = "    401    401    403 403      in     in  in 403      404  403"
ADMIN = "     401    401    403 403      in    403  in 403      404  403"
READER = "    401    401    403 403      in    403  in 403      404   in"
USAGE = "     401    401     in 403      in     in  in  in      404   in"

EVENT = {"event": "page_visit", "page": {"href": "https://example.com/"}}


@dataclass(frozen=True)
class Door:
    """A route: its row, and a request that is good, or so bad that nothing happens once the caller is let in.

    `key_header` is where keys go; the others go into Authorization. `with_key`: the project's secret key goes along.
    """

    row: str
    body: Any = None
    query: dict[str, str] = field(default_factory=dict)
    key_header: str = ""
    with_key: bool = False


PROJECT = "/api/projects/{project}"
DATES = {"start": "2026-02-01", "end": "2026-02-03"}
SAVED = {"name": "n", "query": {"type": "metric", "projectId": "default", "event": "x", "dateRange": DATES}}
VENDOR_EVENTS: Any = {"batch": []}
VENDOR_PATHS = (
    *("/v1/alias", "/v1/batch", "/v1/group", "/v1/identify", "/v1/import", "/v1/page", "/v1/screen", "/v1/track"),
    *("/engage", "/groups", "/import", "/track"),
    *("/batch/", "/capture/", "/decide/", "/e/", "/flags/", "/i/v0/e/"),
)
ROUTES: dict[str, Door] = {
    "POST /api/analytics": Door(ANYBODY, {"events": []}),
    "POST /api/v1/analytics": Door(PUBLIC, {"events": []}, key_header="X-public-key"),
    "GET /api/v1/experiments": Door(PUBLIC, key_header="X-public-key"),
    "POST /": Door(PUBLIC, {"events": []}, key_header="X-API-Key"),
    # A key of another kind is known, and says 403; a session's role is viewer or member or more.
    "POST /api/v1/analytics/events": Door(
        "         401    403    403  in      in    403  in  in       in  403", EVENT, key_header="X-API-Key"
    ),
    "GET /v1/receipts/{receipt}": Door(ANYBODY),
    "GET /hg.js": Door(ANYBODY),
    "GET /livez": Door(ANYBODY),
    "GET /readyz": Door(ANYBODY),
    "GET /metrics": Door(ANYBODY),
    "GET /openapi.json": Door(ANYBODY),
    "GET /schemas/headgate.yaml.json": Door(ANYBODY),
    "GET /schemas/compiled.json": Door(ANYBODY),
    "POST /api/auth/login": Door(ANYBODY, {"email": "nobody@example.com", "password": "x"}),
    # Who shows what is no session, or has ended, is signed out already.
    "POST /api/auth/logout": Door("401 in in in in in in in in 403"),
    "GET /api/auth/session": Door(SIGNED_IN),
    "GET /api/auth/sessions": Door(SIGNED_IN),
    "DELETE /api/auth/sessions/{session}": Door("401 401 401 401 in in in 401 in 403"),
    "POST /api/auth/password": Door(SESSION, {"oldPassword": PASSWORD, "newPassword": "short"}),
    "POST /api/cli/tokens": Door(SESSION),
    "POST /api/cli/validate": Door(ANYBODY, {"token": "hgt_x"}),
    "GET /api/projects": Door(PERSON),
    "POST /api/projects": Door(CHANGER, {"name": "made", "slug": "default"}),
    f"GET {PROJECT}": Door(VIEWER),
    f"PATCH {PROJECT}": Door(ADMIN, {"name": "default"}),
    f"DELETE {PROJECT}": Door(ADMIN),
    f"GET {PROJECT}/keys": Door(READER),
    f"POST {PROJECT}/keys": Door(ADMIN, {"kind": "public"}),
    f"POST {PROJECT}/keys/{{key}}/rotate": Door(ADMIN),
    f"DELETE {PROJECT}/keys/{{key}}": Door(ADMIN),
    "POST /api/keys/{key}/rotate": Door(ADMIN),
    "PATCH /api/keys/{key}": Door(ADMIN, {"allProjects": False}),
    "DELETE /api/keys/{key}": Door(ADMIN),
    f"GET {PROJECT}/members": Door(VIEWER),
    f"PUT {PROJECT}/members/{{user}}": Door(ADMIN, {"role": "viewer"}),
    # Whoever is a member may leave.
    f"DELETE {PROJECT}/members/{{user}}": Door(LEAVER),
    f"POST {PROJECT}/invitations": Door(ADMIN, {"email": "x@example.com", "role": "viewer"}),
    f"GET {PROJECT}/invitations": Door(READER),
    f"DELETE {PROJECT}/invitations/{{invitation}}": Door(ADMIN),
    "GET /api/invitations/{invitation}": Door(PERSON),
    "POST /api/invitations/{invitation}/accept": Door(CHANGER),
    "POST /api/invitations/{invitation}/decline": Door(CHANGER),
    f"GET {PROJECT}/usage": Door(USAGE),
    f"GET {PROJECT}/audit": Door(READER),
    "GET /api/audit": Door(PERSON),
    f"GET {PROJECT}/sinks": Door(VIEWER),
    f"POST {PROJECT}/sinks/{{sink}}/pause": Door(ADMIN),
    f"POST {PROJECT}/sinks/{{sink}}/resume": Door(ADMIN),
    f"POST {PROJECT}/sinks/{{sink}}/test": Door(ADMIN),
    f"GET {PROJECT}/dead-letters": Door(VIEWER),
    f"GET {PROJECT}/dead-letters/{{letter}}": Door(VIEWER),
    f"POST {PROJECT}/dead-letters/retry": Door(ADMIN, {"sink": "jsonl"}),
    f"POST {PROJECT}/dead-letters/purge": Door(ADMIN, {"sink": "jsonl"}),
    f"GET {PROJECT}/events/search": Door(VIEWER, query={"text": "x"}),
    f"GET {PROJECT}/events": Door(VIEWER, query={"follow": "false"}),
    # A stranger shows the project's own secret key, and so may hear that it is not theirs.
    "POST /api/deploy": Door(
        "         401    401    403 403      in    403  in 403      403  403", {"no": "config"}, with_key=True
    ),
    "GET /api/deploys": Door(VIEWER, with_key=True),
    "GET /api/deploys/{version}": Door(VIEWER, with_key=True),
    "POST /api/deploys/{version}/activate": Door(ADMIN, with_key=True),
    "POST /api/deploys/preview": Door(ADMIN, with_key=True),
    f"GET {PROJECT}/schema": Door(USAGE),
    "GET /api/queries": Door(USAGE, query={"project": "default"}),
    "POST /api/queries": Door(LEAVER, SAVED),
    "GET /api/queries/{query}": Door(USAGE),
    # Another's is for admins to change.
    "PUT /api/queries/{query}": Door(ADMIN, SAVED),
    "DELETE /api/queries/{query}": Door(ADMIN),
    # Vendors' clients show the public key in their own way, as the tests of each dialect do.
    **{f"POST {path}": Door(VENDOR, VENDOR_EVENTS) for path in VENDOR_PATHS},
    # These say first what the body lacks.
    "POST /2/httpapi": Door(ANYBODY, VENDOR_EVENTS),
    "POST /batch": Door(ANYBODY, VENDOR_EVENTS),
    # It changes nothing, so that it may come from any page.
    "POST /api/query": Door(USAGE, {"type": "metric", "projectId": "default", "event": "x"}),
}

_SERVICE = "headgate.v1."
#             nobody public secret org session viewer cli jwt stranger (a cookie's page is not of gRPC)
G_ANYBODY = "     in     in     in  in      in     in  in  in       in"
G_PERSON = "     401    401    403 403      in     in  in 403       in"
G_VIEWER = "     401    401    403 403      in     in  in 403      404"
G_ADMIN = "      401    401    403 403      in    403  in 403      404"
G_USAGE = "      401    401     in 403      in     in  in  in      404"
G_WRITER = "     401    403     in  in     401    401 401 401      401"
G_KNOWN = "      401    401     in  in      in     in  in  in       in"
G_SIGNED = "     401    401    401 401      in     in  in 401       in"
G_SESSION = "    401    401    401 401      in     in 403 401       in"
METHODS: dict[str, str] = {
    "IngestService/IngestEvents": G_WRITER,
    "IngestService/StreamEvents": G_WRITER,
    # For gateways, which show a token of their own.
    "IngestService/IngestGathered": " 403 403 403 403 403 403 403 403 403",
    "ReceiptService/GetReceipt": G_ANYBODY,
    "AccountService/Login": G_ANYBODY,
    "AccountService/Logout": "401 in in in in in in in in",
    "AccountService/GetSession": G_SIGNED,
    "AccountService/ListSessions": G_SIGNED,
    "AccountService/EndSession": G_SIGNED,
    "AccountService/ChangePassword": G_SESSION,
    "AccountService/CreateCliToken": G_SESSION,
    "AccountService/RedeemCliToken": G_ANYBODY,
    "ProjectService/CreateProject": G_PERSON,
    "ProjectService/ListProjects": G_PERSON,
    "ProjectService/GetProject": G_VIEWER,
    "ProjectService/UpdateProject": G_ADMIN,
    "ProjectService/DeleteProject": G_ADMIN,
    "ProjectService/ListKeys": G_ADMIN,
    "ProjectService/CreateKey": G_ADMIN,
    "ProjectService/RotateKey": G_ADMIN,
    "ProjectService/BindKey": G_ADMIN,
    "ProjectService/RevokeKey": G_ADMIN,
    "ProjectService/ListMembers": G_VIEWER,
    "ProjectService/SetMember": G_ADMIN,
    "ProjectService/RemoveMember": G_VIEWER,
    "ProjectService/GetUsage": G_USAGE,
    "InvitationService/CreateInvitation": G_ADMIN,
    "InvitationService/ListInvitations": G_ADMIN,
    "InvitationService/DeleteInvitation": G_ADMIN,
    "InvitationService/GetInvitation": G_PERSON,
    "InvitationService/AnswerInvitation": G_PERSON,
    "ProjectService/ListAudit": G_ADMIN,
    "ProjectDeliveryService/ListProjectSinks": G_VIEWER,
    "ProjectDeliveryService/ListProjectDeadLetters": G_VIEWER,
    "ProjectDeliveryService/GetProjectDeadLetter": G_VIEWER,
    "ProjectDeliveryService/RetryProjectDeadLetters": G_ADMIN,
    "ProjectDeliveryService/PurgeProjectDeadLetters": G_ADMIN,
    "ProjectDeliveryService/TailProjectEvents": G_VIEWER,
    "ProjectDeliveryService/SearchProjectEvents": G_VIEWER,
    "ProjectDeliveryService/PauseProjectSink": G_ADMIN,
    "ProjectDeliveryService/ResumeProjectSink": G_ADMIN,
    "ProjectDeliveryService/TestProjectSink": G_ADMIN,
    "SavedQueryService/ListSavedQueries": G_USAGE,
    # Of a query that there is not, whoever may be somebody hears that only.
    **{f"SavedQueryService/{name}SavedQuery": G_KNOWN for name in ("Get", "Update", "Delete")},
    "SavedQueryService/CreateSavedQuery": G_KNOWN,
    "QueryService/GetEventSchema": G_USAGE,
    # Here without the secret key that it takes beside a person.
    "DeployService/Deploy": "401 401 401 401 401 401 401 401 401",
    "DeployService/ListDeploys": G_VIEWER,
    "DeployService/GetDeploy": G_VIEWER,
    "DeployService/ActivateDeploy": G_ADMIN,
    "DeployService/PreviewDeploy": G_ADMIN,
    "DeployService/GetConfigSchema": G_ANYBODY,
    "QueryService/Query": G_USAGE,
}
OPERATORS = (
    "AdminService/CreateProject",
    "UserService/CreateUser",
    "UserService/SetPassword",
    "DeliveryService/ListSinks",
)


@dataclass
class Callers:
    """The callers of the table, as headers, and what they are asked about."""

    headers: dict[str, dict[str, str]]
    keys: dict[str, str]
    spare_key: str
    receipt: str
    owner: httpx.Client
    anyone: httpx.Client

    def of(self, caller: str, door: Door) -> dict[str, str]:
        if caller in KEYS:
            key = self.keys[caller]
            shown = {door.key_header: key} if door.key_header else {"Authorization": f"Bearer {key}"}
        else:
            shown = dict(self.headers[caller])
        return shown | ({"X-API-Key": self.keys["secret"]} if door.with_key else {})


@pytest.fixture(scope="module")
def callers(headgate) -> Callers:
    first = json.loads((headgate.data_dir / "first-start.json").read_text())
    with admin_channel(headgate.data_dir) as channel:
        for name, memberships in (("viewer", [{"project": "default", "role": ROLES["viewer"]}]), ("stranger", [])):
            UserServiceStub(channel).CreateUser(
                users.CreateUserRequest(email=f"{name}@example.com", password=PASSWORD, memberships=memberships),
                timeout=30,
            )
    here = {"Origin": headgate.http}

    def sign_in(email: str, password: str) -> httpx.Client:
        client = httpx.Client(base_url=headgate.http, headers=here, timeout=30)
        assert client.post("/api/auth/login", json={"email": email, "password": password}).status_code == 200
        return client

    owner = sign_in(first["owner"]["email"], first["owner"]["password"])
    viewer, stranger = sign_in("viewer@example.com", PASSWORD), sign_in("stranger@example.com", PASSWORD)
    assert stranger.post("/api/projects", json={"name": "Theirs", "slug": "theirs"}).status_code == 201
    token = owner.post("/api/cli/tokens").json()["token"]
    cli = owner.post("/api/cli/validate", json={"token": token}).json()["accessToken"]
    org = owner.post("/api/projects/default/keys", json={"kind": "organisation"}).json()
    spare = owner.post("/api/projects/default/keys", json={"kind": "test"}).json()
    sent = owner.post("/api/analytics", json={"events": [{"type": "x"}]})
    claims = {
        "iss": "https://auth.example.com",
        "aud": "headgate",
        "sub": "machine",
        "exp": int(time.time()) + 3600,
        "scope": "events:write analytics:read",
        "project": "default",
    }
    by_jwt = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET), ["HS256"])

    def cookie(client: httpx.Client) -> dict[str, str]:
        return {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}

    return Callers(
        {
            "nobody": {},
            "session": cookie(owner) | here,
            "viewer": cookie(viewer) | here,
            "cli": {"Authorization": f"Bearer {cli}"},
            "jwt": {"Authorization": f"Bearer {by_jwt}"},
            "stranger": cookie(stranger) | here,
            "page": cookie(owner),
        },
        {"public": first["keys"]["public"], "secret": first["keys"]["secret"], "org": org["key"]},
        spare["id"],
        sent.headers["headgate-receipt"],
        owner,
        httpx.Client(base_url=headgate.http, timeout=30),
    )


@pytest.fixture(scope="module")
def served(headgate) -> set[str]:
    paths = httpx.get(f"{headgate.http}/openapi.json", timeout=30).json()["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods} - {
        f"HEAD {path}" for path in paths
    }


def test_every_route_has_a_row(served):
    differ = served ^ set(ROUTES)
    assert not differ, ", ".join(sorted(differ))


@pytest.mark.parametrize("route", ROUTES)
def test_each_route_lets_in_whom_its_row_says(callers, route):
    door = ROUTES[route]
    expected = dict(zip(CALLERS, door.row.split(), strict=True))
    # Those who are refused come first: the others may end what they ask about.
    order = sorted(CALLERS, key=lambda caller: expected[caller] == "in")
    assert {caller: knock(callers, route, door, caller, expected[caller] == "in") for caller in order} == expected


def knock(callers: Callers, route: str, door: Door, caller: str, let_in: bool) -> str:
    method, _, path = route.partition(" ")
    headers = callers.of(caller, door)
    project = "default"
    if let_in and method == "DELETE" and path == PROJECT:
        project = callers.owner.post("/api/projects", json={"name": f"doomed by {caller}"}).json()["project"]["slug"]
    if let_in and path == "/api/auth/logout" and caller in ("session", "viewer", "cli", "stranger"):
        # The others still need theirs.
        headers = {"Authorization": "Bearer hgs_ended"}
    saved = callers.owner.post("/api/queries", json=SAVED).json()["id"] if "{query}" in path else ""
    target = path.format(
        project=project,
        key=callers.spare_key,
        user="nobody@example.com",
        letter="x",
        sink="x",
        session="ses_x",
        invitation="inv_x",
        version="1",
        query=saved,
        receipt=callers.receipt,
    )
    answer = callers.anyone.request(method, target, headers=headers, json=door.body, params=door.query)
    callers.anyone.cookies.clear()
    # This Headgate may have no store; who may not ask it hears that first.
    assert answer.status_code < 500 or answer.json()["error"]["code"] == "store_unavailable", answer.text
    return outcome(answer)


def outcome(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return "in"
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code", "") if isinstance(error, dict) else ""
    if answer.status_code == 401:
        # That a one-time token or a password is wrong is said to whoever may try them.
        return "in" if code in ("login_failed", "token_invalid") else "401"
    if answer.status_code == 403:
        return "403"
    return "404" if code in ("project_unknown", "key_unknown", "saved_query_unknown") else "in"


@pytest.fixture(scope="module")
def public(headgate):
    with grpc.insecure_channel(headgate.grpc) as channel:
        yield channel


def methods(channel: grpc.Channel) -> dict[str, Any]:
    """Every method of Headgate's own services that the server says it has, by its name."""
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = descriptor_pool.DescriptorPool(database)
    return {
        f"{service.removeprefix(_SERVICE)}/{method.name}": method
        for service in database.get_services()
        if service.startswith(_SERVICE)
        for method in pool.FindServiceByName(service).methods
    }


def test_every_grpc_method_has_a_row(public):
    differ = set(methods(public)) ^ set(METHODS)
    assert not differ, " ".join(sorted(differ))


@pytest.mark.parametrize("name", METHODS)
def test_each_grpc_method_lets_in_whom_its_row_says(headgate, callers, public, name):
    method = methods(public)[name]
    expected = dict(zip(CALLERS, METHODS[name].split(), strict=False))
    order = sorted(expected, key=lambda caller: expected[caller] == "in")
    assert {
        caller: called(public, callers, name, method, caller, expected[caller] == "in") for caller in order
    } == expected


def called(channel: grpc.Channel, callers: Callers, name: str, method: Any, caller: str, let_in: bool) -> str:
    bearer = {kind: f"Bearer {key}" for kind, key in callers.keys.items()} | {
        kind: headers.get("Authorization") or "Bearer " + headers["Cookie"].partition("=")[2]
        for kind, headers in callers.headers.items()
        if headers
    }
    metadata = [("authorization", bearer[caller])] if caller in bearer else []
    if let_in and name == "AccountService/Logout" and metadata:
        metadata = [("authorization", "Bearer hgs_ended")]
    request = asked(method, callers)
    if let_in and name == "ProjectService/DeleteProject":
        request.project = callers.owner.post("/api/projects", json={"name": caller}).json()["project"]["slug"]
    kind = ("stream" if method.client_streaming else "unary") + "_" + ("stream" if method.server_streaming else "unary")
    answer_class = message_factory.GetMessageClass(method.output_type)
    call = getattr(channel, kind)(
        f"/{_SERVICE}{name}", lambda message: message.SerializeToString(), answer_class.FromString
    )
    try:
        answer = call(iter([request]) if method.client_streaming else request, metadata=metadata, timeout=30)
        first = next(iter(answer), None) if method.server_streaming else answer
    except grpc.RpcError as error:
        return status_outcome(error)
    # A stream of events says of each request what became of it.
    cause = getattr(getattr(first, "refusal", None), "cause", 0) if name == "IngestService/StreamEvents" else 0
    return {1: "401", 2: "401", 3: "403"}.get(cause, "in")


def asked(method: Any, callers: Callers) -> Any:
    request = message_factory.GetMessageClass(method.input_type)()
    fields = set(method.input_type.fields_by_name)
    if "project" in fields:
        request.project = "default"
    if "id" in fields:
        request.id = callers.spare_key
    if "no_follow" in fields:
        request.no_follow = True
    if "receipt" in fields:
        request.receipt = callers.receipt
    if "request_json" in fields:
        request.request_json = json.dumps(ROUTES["POST /api/query"].body).encode()
    return request


def status_outcome(error: grpc.RpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            any(detail.Unpack(info) for detail in Status.FromString(value).details)
    reason = info.reason.lower()
    match error.code():
        case grpc.StatusCode.UNAUTHENTICATED:
            return "in" if reason in ("login_failed", "token_invalid") else "401"
        case grpc.StatusCode.PERMISSION_DENIED:
            return "403"
        case grpc.StatusCode.NOT_FOUND if reason in ("project_unknown", "key_unknown"):
            return "404"
    assert error.code() not in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL), error
    return "in"


@pytest.mark.parametrize("name", OPERATORS)
def test_what_is_the_operators_is_not_on_the_public_server(public, name):
    call = public.unary_unary(f"/{_SERVICE}{name}", lambda message: b"", lambda raw: raw)
    with pytest.raises(grpc.RpcError) as refused:
        call(b"", timeout=30)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_tenant_reaches_nothing_of_another_by_its_ids(headgate, callers):
    with httpx.Client(base_url=headgate.http, headers=callers.headers["stranger"], timeout=30) as stranger:
        listed = stranger.get("/api/projects").json()["projects"]
        assert [project["slug"] for project in listed] == ["theirs"]
        theirs = "/api/projects/theirs"
        key = callers.owner.post("/api/projects/default/keys", json={"kind": "secret"}).json()
        for attempt in (
            stranger.delete(f"{theirs}/keys/{key['id']}"),
            stranger.post(f"{theirs}/keys/{key['id']}/rotate"),
            stranger.delete(f"/api/keys/{key['id']}"),
        ):
            assert attempt.json()["error"]["code"] == "key_unknown"
        held = {one["id"]: one for one in callers.owner.get("/api/projects/default/keys").json()["keys"]}
        assert held[key["id"]]["revokedAt"] is None
        # What is another's, and what is not there, are told in the same words.
        for path in ("", "/keys", "/members", "/usage", "/audit", "/sinks", "/dead-letters", "/events?follow=false"):
            told = [
                {**stranger.get(f"/api/projects/{name}{path}").json()["error"], "requestId": ""}
                for name in ("default", "nowhere")
            ]
            assert json.dumps(told[0]).replace("default", "nowhere") == json.dumps(told[1]), path
        # Their own key beside a name of ours, and our key beside their session.
        mine = stranger.post(f"{theirs}/keys", json={"kind": "secret"}).json()["key"]
        for headers, query in (({"X-API-Key": mine}, "?project=default"), ({"X-API-Key": callers.keys["secret"]}, "")):
            answer = stranger.post(f"/api/deploy{query}", json={}, headers=headers)
            assert answer.status_code in (403, 404), answer.text
        audit = json.dumps(stranger.get(f"{theirs}/audit").json())
        assert "owner@localhost" not in audit
