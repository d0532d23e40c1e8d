"""Who calls."""

from dataclasses import dataclass
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


class PrincipalKind(StrEnum):
    """By what a caller is known."""

    SESSION = "session"
    CLI = "cli"
    JWT = "jwt"
    KEY = "key"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Principal:
    """`scopes` None: a person's, whose roles decide; else these decide. `project_ids` None: in no project does it stay
    out; else it may enter these only, by id or slug. `organisation_id` is a person's or an organisation key's.
    `credential_id` is a session's, a key's, or `<issuer> <subject>` of a JWT. `subject`
    and `claimed_role` are what a JWT says of itself; they open nothing.
    """

    kind: PrincipalKind
    user_id: str | None = None
    email: str = ""
    scopes: frozenset[str] | None = None
    project_ids: frozenset[str] | None = None
    credential_id: str = ""
    organisation_id: str | None = None
    subject: str = ""
    claimed_role: str = ""

    @property
    def label(self) -> str:
        """Who they are in the audit log."""
        return self.email or self.credential_id or self.kind.value


OPERATOR = Principal(PrincipalKind.OPERATOR)
