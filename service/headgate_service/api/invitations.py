"""InvitationService over gRPC."""

from typing import Any

import grpc
from headgate.v1 import invitation_service_pb2 as wire
from headgate.v1.invitation_service_pb2_grpc import InvitationServiceServicer

from headgate_service.api.callers import Callers
from headgate_service.api.rpc_status import answered
from headgate_service.errors import InvalidArgument
from headgate_service.log.reader import timestamp
from headgate_service.model.principal import ROLES_BY_WIRE, WIRE_ROLES, Role
from headgate_service.projects.invitations import Invitation, Invitations

_Context = grpc.aio.ServicerContext[Any, Any]


class InvitationServicer(InvitationServiceServicer):
    """Translates between the wire and what acts, once the caller is let in."""

    def __init__(self, callers: Callers, invitations: Invitations) -> None:
        self._callers = callers
        self._invitations = invitations

    @answered
    async def CreateInvitation(
        self, request: wire.CreateInvitationRequest, context: _Context
    ) -> wire.CreateInvitationResponse:
        author, project = await self._callers.enter(context, request.project, Role.ADMIN, "")
        role = ROLES_BY_WIRE.get(request.role)
        if role is None:
            raise InvalidArgument("role", "must be viewer, member, admin or owner")
        made = await self._invitations.create(project.id, request.email, role, author)
        return wire.CreateInvitationResponse(invitation=_wire(made.invitation), text=made.text)

    @answered
    async def ListInvitations(
        self, request: wire.ListInvitationsRequest, context: _Context
    ) -> wire.ListInvitationsResponse:
        _, project = await self._callers.enter(context, request.project, Role.ADMIN, "")
        return wire.ListInvitationsResponse(invitations=map(_wire, await self._invitations.of(project.id)))

    @answered
    async def DeleteInvitation(
        self, request: wire.DeleteInvitationRequest, context: _Context
    ) -> wire.DeleteInvitationResponse:
        author, project = await self._callers.enter(context, request.project, Role.ADMIN, "")
        await self._invitations.delete(project.id, request.id, author)
        return wire.DeleteInvitationResponse()

    @answered
    async def GetInvitation(self, request: wire.GetInvitationRequest, context: _Context) -> wire.GetInvitationResponse:
        author = await self._callers.person(context)
        return wire.GetInvitationResponse(invitation=_wire(await self._invitations.get(request.text, author)))

    @answered
    async def AnswerInvitation(
        self, request: wire.AnswerInvitationRequest, context: _Context
    ) -> wire.AnswerInvitationResponse:
        author = await self._callers.person(context)
        invitation = await self._invitations.answer(request.text, request.accept, author)
        return wire.AnswerInvitationResponse(invitation=_wire(invitation))


def _wire(invitation: Invitation) -> wire.Invitation:
    return wire.Invitation(
        id=invitation.id,
        email=invitation.email,
        role=WIRE_ROLES[invitation.role],
        create_time=timestamp(invitation.created_at),
        expire_time=timestamp(invitation.expires_at),
        project=invitation.slug,
        project_name=invitation.project_name,
        author=invitation.author or "operator",
    )
