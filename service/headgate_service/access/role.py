"""The roles that a person has in a project."""

from enum import StrEnum

from headgate.v1 import role_pb2


class Role(StrEnum):
    """Each may do what those before it may."""

    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"

    def covers(self, least: "Role") -> bool:
        """Whether it is this role or a higher one."""
        order = list(Role)
        return order.index(self) >= order.index(least)


WIRE_ROLES: dict[Role, role_pb2.Role] = {
    Role.VIEWER: role_pb2.ROLE_VIEWER,
    Role.MEMBER: role_pb2.ROLE_MEMBER,
    Role.ADMIN: role_pb2.ROLE_ADMIN,
    Role.OWNER: role_pb2.ROLE_OWNER,
}
ROLES_BY_WIRE: dict[role_pb2.Role, Role] = {wire: role for role, wire in WIRE_ROLES.items()}
