"""The audit log: who did what to what, when, by what and from where."""

import hmac
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from sqlalchemy.ext.asyncio import AsyncSession

from headgate_service.auth import audit
from headgate_service.auth.contract import check_contract
from headgate_service.auth.metadata import metadata_value
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import AuditRow
from headgate_service.model.principal import OPERATOR, Principal

GATEWAY_TOKEN = "headgate-gateway-token"  # noqa: S105 - the metadata's name
CLIENT_ADDRESS = "headgate-client-address"
REQUEST_ID = "headgate-request-id"
# What a column of the audit log holds.
_MAX_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class CallOrigin:
    """The client's network address and the request's id, each empty where it is not known."""

    address: str = ""
    request_id: str = ""


UNKNOWN_ORIGIN = CallOrigin()


class CallOrigins:
    """Reads origins: a gateway that shows the token is believed, anyone else is where they call from themselves."""

    def __init__(self, gateway_token: str) -> None:
        self._gateway_token = gateway_token.encode()

    def of(self, context: Any) -> CallOrigin:
        """The origin of a call, by its context. Raises ContractUnserved."""
        shown = metadata_value(context, GATEWAY_TOKEN).encode()
        if hmac.compare_digest(shown, self._gateway_token):
            check_contract(context)
            return CallOrigin(
                metadata_value(context, CLIENT_ADDRESS)[:_MAX_CHARACTERS],
                metadata_value(context, REQUEST_ID)[:_MAX_CHARACTERS],
            )
        return CallOrigin(_peer_address(context.peer())[:_MAX_CHARACTERS])


def _peer_address(peer: str) -> str:
    """The address in gRPC's `ipv4:127.0.0.1:5000` or `ipv6:%5B::1%5D:5000`; empty for a socket's."""
    kind, _, rest = unquote(peer or "").partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""


MAX_TARGET_CHARACTERS = 320


def record(
    session: AsyncSession,
    principal: Principal,
    action: str,
    target: str,
    origin: CallOrigin = UNKNOWN_ORIGIN,
    *,
    project_id: str | None = None,
    now_ms: int | None = None,
) -> None:
    """Adds an entry to the transaction of the change it tells of, such as ("key.create", "key_...").

    `project_id` is of the project whose members may read it; None: the operator only.
    """
    session.add(
        AuditRow(
            at=time.time_ns() // 1_000_000 if now_ms is None else now_ms,
            project_id=project_id,
            actor=principal.label[:MAX_TARGET_CHARACTERS],
            user_id=principal.user_id,
            credential=principal.kind.value,
            credential_id=principal.credential_id[:MAX_TARGET_CHARACTERS],
            action=action,
            target=target[:MAX_TARGET_CHARACTERS],
            address=origin.address,
            request_id=origin.request_id,
        )
    )


@dataclass(frozen=True, slots=True)
class Author:
    """A caller and from where they call."""

    principal: Principal
    origin: CallOrigin = UNKNOWN_ORIGIN

    def record(self, session: AsyncSession, action: str, target: str, project_id: str | None = None) -> None:
        """Adds an entry to the transaction of the change, which the project's admins may read."""
        audit.record(session, self.principal, action, target, self.origin, project_id=project_id)


class AuditTrail:
    """Records what is done elsewhere than in the control DB, once it is done."""

    def __init__(self, database: ControlDb) -> None:
        self._database = database

    async def record(self, author: Author, action: str, target: str, project_id: str) -> None:
        """Raises ControlDbUnavailable."""
        async with self._database.write() as session:
            author.record(session, action, target, project_id)


THE_OPERATOR = Author(OPERATOR)
