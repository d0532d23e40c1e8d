"""The names in Redis that only the forwarder writes."""

# Sorted set of the forwarders that run, by owner; the score is when an entry is no longer believed, in milliseconds.
FORWARDERS = "headgate:forwarders"


def sink_status(sink: str) -> str:
    """Hash: state, last_error, since (milliseconds since 1970)."""
    return f"headgate:sink:{sink}:status"
