"""/api/projects/{project}/invitations and /api/invitations: how people become members."""

from typing import Any

from headgate.v1 import invitation_service_pb2 as wire
from headgate.v1.invitation_service_pb2_grpc import InvitationServiceStub

from headgate_gateway.app_api.fields import EMAIL_RULES, Field, FieldInvalid
from headgate_gateway.app_api.operation import ROLE_NAMES, ROLES, Asked, Operation, rfc3339
from headgate_gateway.app_api.projects import PROJECT

INVITATIONS = f"{PROJECT}/invitations"
INVITATION = "/api/invitations/{invitation}"


def invitation_json(invitation: wire.Invitation) -> dict[str, Any]:
    """An open invitation."""
    return {
        "id": invitation.id,
        "project": invitation.project,
        "projectName": invitation.project_name,
        "email": invitation.email,
        "role": ROLE_NAMES.get(invitation.role),
        "invitedBy": invitation.author,
        "createdAt": rfc3339(invitation.create_time),
        "expiresAt": rfc3339(invitation.expire_time),
    }


def _create(asked: Asked) -> wire.CreateInvitationRequest:
    role = ROLES.get(asked.body["role"])
    if role is None:
        raise FieldInvalid("role", f"must be one of {', '.join(ROLES)}")
    return wire.CreateInvitationRequest(project=asked.path["project"], email=asked.body["email"], role=role)


def _created(made: wire.CreateInvitationResponse) -> dict[str, Any]:
    link = INVITATION.format(invitation=made.text)
    return {"invitation": invitation_json(made.invitation), "token": made.text, "link": link}


def _answer(verb: str, what: str, *, accept: bool) -> Operation:
    return Operation(
        "POST",
        f"{INVITATION}/{verb}",
        what,
        lambda channel: InvitationServiceStub(channel).AnswerInvitation,
        lambda asked: wire.AnswerInvitationRequest(text=asked.path["invitation"], accept=accept),
        lambda answered: {"invitation": invitation_json(answered.invitation)},
    )


CREATE_INVITATION = Operation(
    "POST",
    INVITATIONS,
    "Invite a person, with or without an account; the link is shown this once",
    lambda channel: InvitationServiceStub(channel).CreateInvitation,
    _create,
    _created,
    body=(
        Field("email", required=True, description="The person's e-mail address.", rules=EMAIL_RULES),
        Field("role", required=True, description="What they may do.", rules={"enum": list(ROLES)}),
    ),
    status=201,
)
LIST_INVITATIONS = Operation(
    "GET",
    INVITATIONS,
    "The open invitations of a project",
    lambda channel: InvitationServiceStub(channel).ListInvitations,
    lambda asked: wire.ListInvitationsRequest(project=asked.path["project"]),
    lambda found: {"invitations": [invitation_json(invitation) for invitation in found.invitations]},
)
DELETE_INVITATION = Operation(
    "DELETE",
    f"{INVITATIONS}/{{invitation}}",
    "Take an invitation back",
    lambda channel: InvitationServiceStub(channel).DeleteInvitation,
    lambda asked: wire.DeleteInvitationRequest(project=asked.path["project"], id=asked.path["invitation"]),
    lambda ended: {"deleted": True},
)
GET_INVITATION = Operation(
    "GET",
    INVITATION,
    "What an invitation of the caller is to",
    lambda channel: InvitationServiceStub(channel).GetInvitation,
    lambda asked: wire.GetInvitationRequest(text=asked.path["invitation"]),
    lambda found: {"invitation": invitation_json(found.invitation)},
)
ACCEPT_INVITATION = _answer("accept", "Become a member, as an invitation says", accept=True)
DECLINE_INVITATION = _answer("decline", "Decline an invitation", accept=False)

OPERATIONS = (
    CREATE_INVITATION,
    LIST_INVITATIONS,
    DELETE_INVITATION,
    GET_INVITATION,
    ACCEPT_INVITATION,
    DECLINE_INVITATION,
)
