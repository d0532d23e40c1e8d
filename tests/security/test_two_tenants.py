"""Two tenants: whatever one shows, it reaches nothing of the other by any route or gRPC method.

Every route and method of the table of credentials is walked, unless a row here says why it names nothing of a tenant.
That table fails on a route or method without a row.
"""

import json
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import message_factory

from tests.end_to_end import test_access as table
from tests.end_to_end.test_access import PROJECT, callers, public

__all__ = ["callers", "public"]

HEADGATE_TOML = table.HEADGATE_TOML

REFUSED = ("NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED", "INVALID_ARGUMENT")
NO_TENANT = "serves nothing of a tenant"
OF_CALLER = "serves the caller's own only"
BY_CREDENTIAL = "writes to the project of the credential, and none can be named"
ROUTES: dict[str, str] = {
    "POST /api/analytics": "takes no credential: the operator says whose events these are",
    "POST /api/v1/analytics": BY_CREDENTIAL,
    "GET /api/v1/experiments": BY_CREDENTIAL,
    "POST /": BY_CREDENTIAL,
    "GET /v1/receipts/{receipt}": "possession suffices; tests of receipts show whom it names sinks to",
    **dict.fromkeys(
        (
            "GET /hg.js",
            "GET /livez",
            "GET /readyz",
            "GET /metrics",
            "GET /openapi.json",
            "GET /schemas/headgate.yaml.json",
            "GET /schemas/compiled.json",
            "POST /api/auth/login",
        ),
        NO_TENANT,
    ),
    **dict.fromkeys(
        (
            "POST /api/auth/logout",
            "GET /api/auth/session",
            "GET /api/auth/sessions",
            "POST /api/auth/password",
            "POST /api/cli/tokens",
            "POST /api/cli/validate",
            "GET /api/projects",
            "POST /api/projects",
            "GET /api/audit",
        ),
        OF_CALLER,
    ),
}
METHODS: dict[str, str] = {
    "IngestService/IngestGathered": "for gateways, which show a token of their own",
    "ReceiptService/GetReceipt": ROUTES["GET /v1/receipts/{receipt}"],
    "DeployService/GetConfigSchema": NO_TENANT,
    **dict.fromkeys(
        (
            "AccountService/Login",
            "AccountService/Logout",
            "AccountService/GetSession",
            "AccountService/ListSessions",
            "AccountService/ChangePassword",
            "AccountService/CreateCliToken",
            "AccountService/RedeemCliToken",
            "ProjectService/CreateProject",
            "ProjectService/ListProjects",
        ),
        OF_CALLER,
    ),
}


@dataclass
class Tenants:
    """What the other tenant shows, and ids of what is the first one's."""

    shown: dict[str, dict[str, str]]
    keys: dict[str, str]
    ids: dict[str, str]
    owner: httpx.Client

    def state(self) -> str:
        """All that the first tenant sees of its project."""
        paths = ("", "/keys", "/members", "/invitations", "/sinks", "/dead-letters", "/events?follow=false&last=1000")
        answers = [self.owner.get(f"/api/projects/default{path}").text for path in paths]
        return "\n".join([*answers, self.owner.get("/api/deploys?project=default").text])


@pytest.fixture(scope="module")
def tenants(headgate, callers) -> Tenants:
    owner = callers.owner
    stranger = httpx.Client(base_url=headgate.http, headers=callers.headers["stranger"], timeout=30)
    made = stranger.post("/api/projects", json={"name": "Other", "slug": "other"}).json()
    keys = dict(made["keys"])
    for kind, wanted in (("bound", {}), ("organisation", {"allProjects": True})):
        scopes = ["events:write", "analytics:read", "logs:read", "content:read"]
        body = {"kind": "organisation", "scopes": scopes, **wanted}
        keys[kind] = stranger.post("/api/projects/other/keys", json=body).json()["key"]
    token = stranger.post("/api/cli/tokens").json()["token"]
    cli = stranger.post("/api/cli/validate", json={"token": token}).json()["accessToken"]
    shown = {
        "session": callers.headers["stranger"],
        "cli": {"Authorization": f"Bearer {cli}"},
        **{kind: {"Authorization": f"Bearer {key}"} for kind, key in keys.items()},
    }
    invitation = owner.post(
        "/api/projects/default/invitations", json={"email": "guest@example.com", "role": "viewer"}
    ).json()
    ids = {
        "project": "default",
        "key": callers.spare_key,
        "user": "owner@localhost",
        "letter": "x",
        "session": owner.get("/api/auth/sessions").json()["sessions"][0]["id"],
        "version": "1",
        "receipt": callers.receipt,
        "invitation": invitation["token"],
        "sink": "jsonl",
        "query": owner.post(
            "/api/queries", json={"name": "mine", "query": {"type": "metric", "projectId": "default", "event": "x"}}
        )
        .json()
        .get("id", "qry_x"),
        "text": invitation["token"],
        "invitation_id": invitation["invitation"]["id"],
    }
    return Tenants(shown, keys, ids, owner)


def test_what_is_not_walked_names_no_tenant():
    assert set(ROUTES) <= set(table.ROUTES)
    assert set(METHODS) <= set(table.METHODS)
    # What is walked names something: in its path, or by the project of a query, a deploy or an event. The vendors' APIs
    # take events for the project of the key, and nothing else names one.
    by_key = {f"POST {path}" for path in (*table.VENDOR_PATHS, "/2/httpapi", "/batch")}
    assert {route for route in set(table.ROUTES) - set(ROUTES) - by_key if "{" not in route} <= {
        "POST /api/query",
        "GET /api/queries",
        "POST /api/queries",
        "POST /api/deploy",
        "GET /api/deploys",
        "POST /api/deploys/preview",
        "POST /api/v1/analytics/events",
    }


def test_no_route_crosses(headgate, callers, tenants, record_property):
    before, calls = tenants.state(), 0
    for route, door in table.ROUTES.items():
        if route in ROUTES:
            continue
        method, _, path = route.partition(" ")
        if path.endswith("/invitations/{invitation}") and path.startswith(PROJECT):
            path = path.replace("{invitation}", "{invitation_id}")
        for named in ({"project": "default"}, {}) if door.with_key else ({"project": "default"},):
            for kind, headers in tenants.shown.items():
                own = {"X-API-Key": tenants.keys["secret"]} if door.with_key else {}
                if door.key_header and kind in tenants.keys:
                    own = {door.key_header: tenants.keys[kind]}
                sent = {**headers, **own, "X-Headgate-Project": "default"}
                answer = callers.anyone.request(
                    method,
                    path.format_map(tenants.ids),
                    headers=sent,
                    json=door.body,
                    params={**door.query, **named},
                )
                callers.anyone.cookies.clear()
                calls += 1
                if not named and door.with_key:
                    # Without a name the project is that of the tenant's own key.
                    assert "default" not in json.dumps(answer.json().get("project", "")), (route, kind)
                    continue
                assert 400 <= answer.status_code < 500, (route, kind, answer.status_code, answer.text)
    assert tenants.state() == before
    record_property("calls", calls)
    assert calls > 200


def test_no_method_crosses(public, callers, tenants, record_property):
    before, calls = tenants.state(), 0
    for name, method in table.methods(public).items():
        if name in METHODS:
            continue
        for kind, headers in tenants.shown.items():
            bearer = headers.get("Authorization") or "Bearer " + headers["Cookie"].partition("=")[2]
            metadata = [("authorization", bearer), ("x-headgate-project", "default")]
            if name.startswith("DeployService/"):
                metadata.append(("headgate-key", tenants.keys["secret"]))
            refused = _refusal(public, name, method, metadata, tenants)
            calls += 1
            if name == "AccountService/EndSession" or kind in tenants.keys:
                assert refused, (name, kind)
            else:
                assert refused in ("NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED", "INVALID_ARGUMENT"), (
                    name,
                    kind,
                )
    assert tenants.state() == before
    record_property("calls", calls)
    assert calls > 200


def _refusal(channel: grpc.Channel, name: str, method: Any, metadata: Any, tenants: Tenants) -> str:
    """The code with which a call about the first tenant's is refused; empty where it is done."""
    request = message_factory.GetMessageClass(method.input_type)()
    fields = method.input_type.fields_by_name
    for field, value in (("project", "default"), ("user", tenants.ids["user"]), ("text", tenants.ids["text"])):
        if field in fields and fields[field].type == fields[field].TYPE_STRING:
            setattr(request, field, value)
    if "id" in fields and fields["id"].type == fields["id"].TYPE_STRING:
        request.id = {
            "AccountService/EndSession": tenants.ids["session"],
            "InvitationService/DeleteInvitation": tenants.ids["invitation_id"],
        }.get(name, tenants.ids["key"])
    if "no_follow" in fields:
        request.no_follow = True
    if "events" in fields:
        request.events.add(name="crossed")
    if "request_json" in fields:
        request.request_json = json.dumps(table.ROUTES["POST /api/query"].body).encode()
    kind = ("stream" if method.client_streaming else "unary") + "_" + ("stream" if method.server_streaming else "unary")
    answer_class = message_factory.GetMessageClass(method.output_type)
    call = getattr(channel, kind)(
        f"/headgate.v1.{name}", lambda message: message.SerializeToString(), answer_class.FromString
    )
    try:
        answer = call(iter([request]) if method.client_streaming else request, metadata=metadata, timeout=30)
        first = next(iter(answer), None) if method.server_streaming else answer
    except grpc.RpcError as error:
        return error.code().name
    return "refusal" if getattr(getattr(first, "refusal", None), "cause", 0) else ""
