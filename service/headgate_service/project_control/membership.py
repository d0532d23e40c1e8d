"""Who may change whose membership of a project."""

from dataclasses import dataclass

from headgate_service.access.errors import RoleMissing
from headgate_service.access.role import Role


class LastOwner(Exception):
    """The project would be left without an owner."""


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """A person's role in a project before and after, None where they are no member.

    `caller` is the caller's own role, None for the operator; `owners` is how many the project has before; `own`: the
    caller changes their own membership.
    """

    before: Role | None
    after: Role | None
    caller: Role | None
    owners: int
    own: bool = False

    def check(self) -> None:
        """Raises RoleMissing, LastOwner."""
        leaves = self.own and self.after is None
        if self.caller is not None and not leaves and not self.caller.covers(Role.ADMIN):
            raise RoleMissing("members are changed by admins and owners")
        if Role.OWNER in (self.before, self.after) and self.caller not in (None, Role.OWNER):
            raise RoleMissing("only owners make and unmake owners")
        if self.before is Role.OWNER and self.after is not Role.OWNER and self.owners <= 1:
            raise LastOwner("this is the last owner: make another one first, or delete the project")
