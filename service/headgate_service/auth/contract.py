"""Which version of the internal messages a gateway speaks: unequal revisions run side by side during an upgrade."""

from typing import Any

from headgate_service.auth.metadata import metadata_value
from headgate_service.errors import ContractUnserved

CONTRACT = 2
SERVED = (1, CONTRACT)
"""The version before is served too, so that gateways and services are upgraded in any order."""

_METADATA = "headgate-contract"
# Gateways before version 2 do not name theirs.
_UNNAMED = "1"


def check_contract(context: Any) -> None:
    """Raises ContractUnserved where the gateway that calls speaks a version that is not served."""
    named = metadata_value(context, _METADATA) or _UNNAMED
    if named not in map(str, SERVED):
        served = " and ".join(map(str, SERVED))
        raise ContractUnserved(
            f"the gateway speaks contract {named[:20]}, and this service {served}: upgrade the older"
        )
