"""AccountService over gRPC."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import structlog
from headgate.v1 import account_service_pb2 as wire
from headgate.v1 import user_service_pb2 as users_pb
from headgate.v1.account_service_pb2_grpc import AccountServiceServicer
from headgate.v1.user_service_pb2_grpc import UserServiceServicer

from headgate_service.api.rpc_status import answered
from headgate_service.auth.access import bearer_text
from headgate_service.auth.accounts import Accounts
from headgate_service.auth.audit import CallOrigins
from headgate_service.auth.call_limits import CallLimits
from headgate_service.auth.cli_tokens import CliTokens
from headgate_service.auth.passwords import Attempts
from headgate_service.auth.sessions import HeldSession, Sessions
from headgate_service.auth.users import User, Users
from headgate_service.errors import CredentialInvalid, CredentialMissing, InvalidArgument, SessionRequired
from headgate_service.log.reader import timestamp
from headgate_service.model.principal import ROLES_BY_WIRE, PrincipalKind, Role
from headgate_service.projects.projects import remove_first_start

_KINDS = {
    PrincipalKind.SESSION: wire.SESSION_KIND_SESSION,
    PrincipalKind.CLI: wire.SESSION_KIND_CLI,
}
_log = structlog.get_logger()
_Context = grpc.aio.ServicerContext[Any, Any]


class AccountServicer(AccountServiceServicer):
    """Translates between the wire and what acts."""

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        cli_tokens: CliTokens,
        origins: CallOrigins,
        limits: CallLimits,
        first_start_file: Path,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._cli_tokens = cli_tokens
        self._origins = origins
        self._limits = limits
        self._first_start_file = first_start_file

    @answered
    async def Login(self, request: wire.LoginRequest, context: _Context) -> wire.LoginResponse:
        user, session = await self._accounts.login(
            request.email, request.password, _shown(context), self._origins.of(context)
        )
        return wire.LoginResponse(session=session.text, expire_time=timestamp(session.expires_at), user=wire_user(user))

    @answered
    async def Logout(self, request: wire.LogoutRequest, context: _Context) -> wire.LogoutResponse:
        # Whose session has ended already is signed out as well.
        with contextlib.suppress(CredentialInvalid):
            await self._accounts.logout(await self._held(context), _shown(context), self._origins.of(context))
        return wire.LogoutResponse()

    @answered
    async def GetSession(self, request: wire.GetSessionRequest, context: _Context) -> wire.GetSessionResponse:
        held = await self._held(context)
        person = held.principal
        return wire.GetSessionResponse(
            user=wire.User(id=person.user_id, email=person.email, organisation_id=person.organisation_id),
            kind=_KINDS[person.kind],
            create_time=timestamp(held.created_at),
            expire_time=timestamp(held.expires_at),
        )

    @answered
    async def ListSessions(self, request: wire.ListSessionsRequest, context: _Context) -> wire.ListSessionsResponse:
        shown = (await self._held(context)).principal
        held = await self._sessions.of(shown.user_id or "")
        return wire.ListSessionsResponse(sessions=[_wire_session(one, shown.credential_id) for one in held])

    @answered
    async def EndSession(self, request: wire.EndSessionRequest, context: _Context) -> wire.EndSessionResponse:
        held = await self._held(context)
        await self._sessions.end_one(held.principal, request.id, self._origins.of(context))
        return wire.EndSessionResponse()

    @answered
    async def ChangePassword(
        self, request: wire.ChangePasswordRequest, context: _Context
    ) -> wire.ChangePasswordResponse:
        held = await self._signed_in(context)
        await self._accounts.change_password(
            held.principal, request.old_password, request.new_password, self._origins.of(context)
        )
        removed = _remove_first_start(self._first_start_file, held.principal.email)
        return wire.ChangePasswordResponse(first_start_file_removed=removed)

    @answered
    async def CreateCliToken(
        self, request: wire.CreateCliTokenRequest, context: _Context
    ) -> wire.CreateCliTokenResponse:
        held = await self._signed_in(context)
        token = await self._cli_tokens.create(held.principal, self._origins.of(context))
        return wire.CreateCliTokenResponse(token=token.text, expire_time=timestamp(token.expires_at))

    @answered
    async def RedeemCliToken(
        self, request: wire.RedeemCliTokenRequest, context: _Context
    ) -> wire.RedeemCliTokenResponse:
        user, access = await self._cli_tokens.redeem(request.token, self._origins.of(context))
        return wire.RedeemCliTokenResponse(
            access_token=access.text, expire_time=timestamp(access.expires_at), user=wire_user(user)
        )

    async def _held(self, context: _Context) -> HeldSession:
        text = _shown(context)
        if not text:
            raise CredentialMissing("nobody is signed in: show a session")
        held = await self._sessions.find(text)
        self._limits.take(held.principal)
        return held

    async def _signed_in(self, context: _Context) -> HeldSession:
        held = await self._held(context)
        if held.principal.kind is not PrincipalKind.SESSION:
            raise SessionRequired("this takes a session: sign in with the password")
        return held


def _remove_first_start(file: Path, email: str) -> bool:
    removed = remove_first_start(file, email)
    if removed:
        _log.info("the file of the first start is removed: its password is no longer good", file=str(file))
    return removed


def wire_user(user: User) -> wire.User:
    """A person."""
    return wire.User(id=user.id, email=user.email, organisation_id=user.organisation_id)


def _wire_session(held: HeldSession, current: str) -> wire.Session:
    return wire.Session(
        id=held.principal.credential_id,
        kind=_KINDS[held.principal.kind],
        create_time=timestamp(held.created_at),
        use_time=timestamp(held.used_at),
        expire_time=timestamp(held.expires_at),
        current=held.principal.credential_id == current,
    )


def _shown(context: Any) -> str:
    return bearer_text(context.invocation_metadata())


class UserServicer(UserServiceServicer):
    """Translates between the wire and what acts."""

    def __init__(self, users: Users, attempts: Attempts, first_start_file: Path, now_ms: Callable[[], int]) -> None:
        self._users = users
        self._attempts = attempts
        self._first_start_file = first_start_file
        self._now_ms = now_ms

    @answered
    async def CreateUser(self, request: users_pb.CreateUserRequest, context: _Context) -> users_pb.CreateUserResponse:
        members = {one.project: _role(one) for one in request.memberships}
        user = await self._users.create(request.email, request.password, members, request.organisation)
        return users_pb.CreateUserResponse(user=wire_user(user))

    @answered
    async def DisableUser(
        self, request: users_pb.DisableUserRequest, context: _Context
    ) -> users_pb.DisableUserResponse:
        return users_pb.DisableUserResponse(user=wire_user(await self._users.disable(request.user)))

    @answered
    async def SetPassword(
        self, request: users_pb.SetPasswordRequest, context: _Context
    ) -> users_pb.SetPasswordResponse:
        user = await self._users.set_password(request.user, request.password)
        removed = _remove_first_start(self._first_start_file, user.email)
        return users_pb.SetPasswordResponse(user=wire_user(user), first_start_file_removed=removed)

    @answered
    async def UnlockUser(self, request: users_pb.UnlockUserRequest, context: _Context) -> users_pb.UnlockUserResponse:
        user = await self._users.unlock(request.user)
        await self._attempts.unlock(user.email, self._now_ms())
        return users_pb.UnlockUserResponse(user=wire_user(user))


def _role(membership: users_pb.CreateUserRequest.Membership) -> Role:
    role = ROLES_BY_WIRE.get(membership.role)
    if role is None:
        raise InvalidArgument("memberships", f"the role must be one of {', '.join(Role)}")
    return role
