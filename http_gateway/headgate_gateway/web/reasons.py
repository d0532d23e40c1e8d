"""Why events are refused or dropped, in words that say what to do."""

_TOLD = {
    "INVALID": "A field is missing, of the wrong type or out of its range.",
    "TOO_LARGE": "The request or an event is over the limits on size.",
    "BATCH_REFUSED": "Another event of the request was not acceptable, and its API takes all or nothing.",
    "SCHEMA": "It does not fit the schema that the project's policy enforces.",
    "NOT_AN_OBJECT": "An element of the array of events is no JSON object.",
    "SAMPLED": "The policy keeps a share of users' events, and this user is not in it.",
    "SWITCHED_OFF": "The policy switches events of this name off.",
    "IGNORED_ENVIRONMENT": "It comes from an environment that the policy ignores.",
    "ORIGIN_FORBIDDEN": "The project's policy does not allow the page's origin.",
    "IDEMPOTENCY_MISMATCH": "The idempotency key was used for another body: use a new key.",
    "RATE_LIMITED": "Too many requests in the window: the client should wait as Retry-After says.",
    "QUOTA_EXCEEDED": "The events do not fit in the month's limit.",
    "UNAVAILABLE": "Not confirmed: the client retries.",
}


def told(reason: str) -> str:
    """A sentence; empty for a reason that is not known here."""
    return _TOLD.get(reason.upper(), "")
