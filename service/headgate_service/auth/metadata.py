"""What a gRPC call says of its caller, beside the message."""

from typing import Any


def metadata_value(context: Any, name: str) -> str:
    """The first value of a metadata key; empty where there is none."""
    for key, value in context.invocation_metadata() or ():
        if key == name:
            return value if isinstance(value, str) else value.decode(errors="replace")
    return ""


def bearer_key(context: Any) -> str:
    """The key of `authorization: Bearer <key>`; empty where there is none."""
    scheme, _, key = metadata_value(context, "authorization").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
