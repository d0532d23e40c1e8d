"""Who calls."""

from dataclasses import dataclass
from enum import StrEnum


class PrincipalKind(StrEnum):
    """By what a caller is known."""

    SESSION = "session"
    CLI = "cli"
    JWT = "jwt"
    KEY = "key"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Principal:
    """`scopes` None: a person's, whose roles decide. `project_ids` None: in no project does it stay out."""

    kind: PrincipalKind
    user_id: str | None = None
    email: str = ""
    scopes: frozenset[str] | None = None
    project_ids: frozenset[str] | None = None
    credential_id: str = ""


OPERATOR = Principal(PrincipalKind.OPERATOR)
