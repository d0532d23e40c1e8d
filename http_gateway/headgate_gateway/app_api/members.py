"""/api/projects/{project}/members: who may use a project."""

from typing import Any

from headgate.v1 import project_service_pb2 as wire
from headgate.v1.project_service_pb2_grpc import ProjectServiceStub

from headgate_gateway.app_api.fields import Field, FieldInvalid
from headgate_gateway.app_api.operation import ROLE_NAMES, ROLES, Asked, Operation, rfc3339
from headgate_gateway.app_api.projects import PROJECT

MEMBERS = f"{PROJECT}/members"
MEMBER = f"{MEMBERS}/{{user}}"


def member_json(member: wire.Member) -> dict[str, Any]:
    """A member."""
    return {
        "user": member.user_id,
        "email": member.email,
        "role": ROLE_NAMES.get(member.role),
        "since": rfc3339(member.create_time),
    }


def _set(asked: Asked) -> wire.SetMemberRequest:
    role = ROLES.get(asked.body["role"])
    if role is None:
        raise FieldInvalid("role", f"must be one of {', '.join(ROLES)}")
    return wire.SetMemberRequest(project=asked.path["project"], user=asked.path["user"], role=role)


LIST_MEMBERS = Operation(
    "GET",
    MEMBERS,
    "Who may use a project",
    lambda channel: ProjectServiceStub(channel).ListMembers,
    lambda asked: wire.ListMembersRequest(project=asked.path["project"]),
    lambda found: {"members": [member_json(member) for member in found.members]},
)
SET_MEMBER = Operation(
    "PUT",
    MEMBER,
    "Give a person, by e-mail address or id, a role in a project",
    lambda channel: ProjectServiceStub(channel).SetMember,
    _set,
    lambda changed: {"member": member_json(changed.member)},
    body=(Field("role", required=True, description="What they may do.", rules={"enum": list(ROLES)}),),
)
REMOVE_MEMBER = Operation(
    "DELETE",
    MEMBER,
    "End a membership",
    lambda channel: ProjectServiceStub(channel).RemoveMember,
    lambda asked: wire.RemoveMemberRequest(project=asked.path["project"], user=asked.path["user"]),
    lambda ended: {"removed": True},
)

OPERATIONS = (LIST_MEMBERS, SET_MEMBER, REMOVE_MEMBER)
