"""/api/auth and /api/cli: signing in and out, and the tokens of command lines."""

import time
from typing import Any

from headgate.v1 import account_service_pb2 as wire
from headgate.v1.account_service_pb2_grpc import AccountServiceStub

from headgate_gateway.app_api.fields import Field
from headgate_gateway.app_api.operation import Operation, rfc3339

_KINDS = {wire.SESSION_KIND_SESSION: "session", wire.SESSION_KIND_CLI: "cli"}


def user_json(user: wire.User) -> dict[str, Any]:
    """A person."""
    return {"id": user.id, "email": user.email, "organisationId": user.organisation_id}


def session_json(session: wire.Session) -> dict[str, Any]:
    """A session or access token, without its text."""
    return {
        "id": session.id,
        "kind": _KINDS.get(session.kind, "unknown"),
        "createdAt": rfc3339(session.create_time),
        "usedAt": rfc3339(session.use_time),
        "expiresAt": rfc3339(session.expire_time),
        "current": session.current,
    }


def _cookie(made: wire.LoginResponse) -> tuple[str, int]:
    return made.session, max(made.expire_time.seconds - int(time.time()), 1)


LOGIN = Operation(
    "POST",
    "/api/auth/login",
    "Sign in: sets the session cookie and ends the session that was sent",
    lambda channel: AccountServiceStub(channel).Login,
    lambda asked: wire.LoginRequest(email=asked.body["email"], password=asked.body["password"]),
    lambda made: {"user": user_json(made.user), "expiresAt": rfc3339(made.expire_time)},
    body=(Field("email", required=True), Field("password", required=True)),
    open=True,
    session=_cookie,
)
LOGOUT = Operation(
    "POST",
    "/api/auth/logout",
    "Sign out: ends the session or access token that was sent",
    lambda channel: AccountServiceStub(channel).Logout,
    lambda asked: wire.LogoutRequest(),
    lambda done: {"ok": True},
    session=lambda done: ("", 0),
)
GET_SESSION = Operation(
    "GET",
    "/api/auth/session",
    "Who the caller is",
    lambda channel: AccountServiceStub(channel).GetSession,
    lambda asked: wire.GetSessionRequest(),
    lambda found: {
        "user": user_json(found.user),
        "session": {
            "kind": _KINDS.get(found.kind, "unknown"),
            "createdAt": rfc3339(found.create_time),
            "expiresAt": rfc3339(found.expire_time),
        },
    },
)
LIST_SESSIONS = Operation(
    "GET",
    "/api/auth/sessions",
    "The caller's sessions and access tokens, the latest first",
    lambda channel: AccountServiceStub(channel).ListSessions,
    lambda asked: wire.ListSessionsRequest(),
    lambda found: {"sessions": [session_json(session) for session in found.sessions]},
)
END_SESSION = Operation(
    "DELETE",
    "/api/auth/sessions/{session}",
    "End one of the caller's sessions or access tokens",
    lambda channel: AccountServiceStub(channel).EndSession,
    lambda asked: wire.EndSessionRequest(id=asked.path["session"]),
    lambda done: {"ok": True},
)
CHANGE_PASSWORD = Operation(
    "POST",
    "/api/auth/password",
    "Change the caller's password; their other sessions and tokens end",
    lambda channel: AccountServiceStub(channel).ChangePassword,
    lambda asked: wire.ChangePasswordRequest(
        old_password=asked.body["oldPassword"], new_password=asked.body["newPassword"]
    ),
    lambda done: {"ok": True} | ({"firstStartFileRemoved": True} if done.first_start_file_removed else {}),
    body=(
        Field("oldPassword", required=True),
        Field(
            "newPassword",
            required=True,
            description="10 to 1000 characters.",
            rules={"minLength": 10, "maxLength": 1000},
        ),
    ),
)
CREATE_CLI_TOKEN = Operation(
    "POST",
    "/api/cli/tokens",
    "Make a one-time token for a command line, good for 10 minutes",
    lambda channel: AccountServiceStub(channel).CreateCliToken,
    lambda asked: wire.CreateCliTokenRequest(),
    lambda made: {"token": made.token, "expiresAt": rfc3339(made.expire_time)},
    status=201,
)
REDEEM_CLI_TOKEN = Operation(
    "POST",
    "/api/cli/validate",
    "Give an access token for a one-time token, once",
    lambda channel: AccountServiceStub(channel).RedeemCliToken,
    lambda asked: wire.RedeemCliTokenRequest(token=asked.body["token"]),
    lambda made: {
        "accessToken": made.access_token,
        "expiresAt": rfc3339(made.expire_time),
        "user": user_json(made.user),
    },
    body=(Field("token", required=True),),
    open=True,
)

OPERATIONS = (
    LOGIN,
    LOGOUT,
    GET_SESSION,
    LIST_SESSIONS,
    END_SESSION,
    CHANGE_PASSWORD,
    CREATE_CLI_TOKEN,
    REDEEM_CLI_TOKEN,
)
