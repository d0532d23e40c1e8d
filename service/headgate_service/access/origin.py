"""From where a call comes."""

import hmac
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from headgate_service.metadata import metadata_value

GATEWAY_TOKEN = "headgate-gateway-token"  # noqa: S105 - the metadata's name
CLIENT_ADDRESS = "headgate-client-address"
REQUEST_ID = "headgate-request-id"
# What a column of the audit log holds.
_LONGEST = 64


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
        """The origin of a call, by its context."""
        shown = metadata_value(context, GATEWAY_TOKEN).encode()
        if hmac.compare_digest(shown, self._gateway_token):
            return CallOrigin(
                metadata_value(context, CLIENT_ADDRESS)[:_LONGEST], metadata_value(context, REQUEST_ID)[:_LONGEST]
            )
        return CallOrigin(_peer_address(context.peer())[:_LONGEST])


def _peer_address(peer: str) -> str:
    """The address in gRPC's `ipv4:127.0.0.1:5000` or `ipv6:%5B::1%5D:5000`; empty for a socket's."""
    kind, _, rest = unquote(peer or "").partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""
