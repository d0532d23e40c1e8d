"""Why the gateway refuses a request before it asks the service."""

import enum


class Rejection(enum.StrEnum):
    """Causes that the gateway finds before the service is asked; keys of a dialect's table, each of them covered."""

    NOT_JSON = "not_json"
    """The body is not JSON, or malformed by the rule that holds for every API. Found by the dialect's `parse`; the
    gateway calls `parse` with an empty body where it could not decompress one, and puts its own fault beside it."""
    INVALID = "invalid"
    """JSON, but not what the API takes. Also an `Idempotency-Key` that is none (one fault of that field)."""
    CREDENTIAL_MISSING = "credential_missing"
    FOREIGN_ORIGIN = "foreign_origin"
    """A page of another site had the browser send it, with a cookie. Found by the dialect's `parse`."""
    METHOD = "method"
    """Not one of the API's methods (405). `Allow` is added by the gateway."""
    TOO_LARGE = "too_large"
    """Too many bytes (the gateway) or events (the dialect): 413."""
    MEDIA_TYPE = "media_type"
    """A content type or encoding that is not read: 415. `Accept-Encoding` is added by the gateway."""
    SLOW = "slow"
    """The body did not arrive in time: 408."""
