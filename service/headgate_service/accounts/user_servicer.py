"""UserService over the admin socket, whose mode is the only credential."""

from typing import Any

import grpc
from headgate.v1 import user_service_pb2 as wire
from headgate.v1.user_service_pb2_grpc import UserServiceServicer

from headgate_service.access.role import ROLES_BY_WIRE, Role
from headgate_service.accounts.account_servicer import wire_user
from headgate_service.accounts.users import Users
from headgate_service.call_status import answered
from headgate_service.project_fields import InvalidArgument

_Context = grpc.aio.ServicerContext[Any, Any]


class UserServicer(UserServiceServicer):
    """Translates between the wire and what acts."""

    def __init__(self, users: Users) -> None:
        self._users = users

    @answered
    async def CreateUser(self, request: wire.CreateUserRequest, context: _Context) -> wire.CreateUserResponse:  # noqa: N802
        members = {one.project: _role(one) for one in request.memberships}
        user = await self._users.create(request.email, request.password, members, request.organisation)
        return wire.CreateUserResponse(user=wire_user(user))

    @answered
    async def DisableUser(self, request: wire.DisableUserRequest, context: _Context) -> wire.DisableUserResponse:  # noqa: N802
        return wire.DisableUserResponse(user=wire_user(await self._users.disable(request.user)))

    @answered
    async def SetPassword(self, request: wire.SetPasswordRequest, context: _Context) -> wire.SetPasswordResponse:  # noqa: N802
        return wire.SetPasswordResponse(user=wire_user(await self._users.set_password(request.user, request.password)))


def _role(membership: wire.CreateUserRequest.Membership) -> Role:
    role = ROLES_BY_WIRE.get(membership.role)
    if role is None:
        raise InvalidArgument("memberships", f"the role must be one of {', '.join(Role)}")
    return role
