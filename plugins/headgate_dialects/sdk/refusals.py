"""How a dialect words what it refuses: one table from cause to status and body."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from headgate.v1 import outcome_pb2

from headgate_dialects.sdk.dialect import Answer, Fault, Unparsable
from headgate_dialects.sdk.rejection import Rejection

MAX_DETAILS = 100

Cause = outcome_pb2.Cause | Rejection


@dataclass(frozen=True, slots=True)
class Refused:
    """What is known of one refusal: everything that a body may say.

    `limit` and `used` are in the unit of the limit: bytes or events of a request, requests of a window, events of a
    month.
    """

    message: str = ""
    faults: Sequence[Fault] = ()
    limit: int = 0
    used: int = 0

    @property
    def remaining(self) -> int:
        return max(self.limit - self.used, 0)


Body = Callable[[Refused], dict[str, Any]]


class Row(NamedTuple):
    """One row of the table: `when` says in a sentence what it stands for; `body` makes the body."""

    status: int
    when: str
    body: Body


class Refusals:
    """The table of one dialect. It covers every Cause of the service and every Rejection of the gateway.

    `whole` is how the dialect names all events of a request, as the field of a fault.
    """

    def __init__(self, rows: Mapping[Cause, Row], max_body_bytes: int, whole: str = "events") -> None:
        self._rows = rows
        self._max_body_bytes = max_body_bytes
        self._whole = whole

    def refused(self, refusal: outcome_pb2.Refusal) -> Answer:
        """The answer to a request that the service refused."""
        limit = refusal.limit
        if refusal.cause == outcome_pb2.CAUSE_TOO_LARGE:
            limit = limit or self._max_body_bytes
        faults = [
            Fault(fault.index if fault.HasField("index") else None, fault.field or self._whole, fault.message)
            for fault in refusal.faults
        ]
        if refusal.cause == outcome_pb2.CAUSE_INVALID and not faults:
            faults = [Fault(None, self._whole, refusal.message)]
        return self._answer(refusal.cause, Refused(refusal.message, faults, limit, refusal.used))

    def rejected(self, unparsable: Unparsable) -> Answer:
        """The answer to a request that the gateway refused."""
        limit = unparsable.limit or (self._max_body_bytes if unparsable.cause is Rejection.TOO_LARGE else 0)
        return self._answer(unparsable.cause, Refused(faults=unparsable.faults, limit=limit))

    def responses(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """The refusals as OpenAPI responses by status, with an example of each body; `schema` holds for all."""
        sample = Refused(faults=[Fault(0, "field", "what is wrong with it")], limit=10_000, used=10_000)
        by_status: dict[str, Any] = {}
        for cause, row in self._rows.items():
            response = by_status.setdefault(str(row.status), {"description": "", "content": _content(schema)})
            if row.when not in response["description"]:
                response["description"] = f"{response['description']} {row.when}".strip()
            examples = response["content"]["application/json"]["examples"]
            examples.setdefault(_name(cause), {"summary": row.when, "value": row.body(sample)})
        return dict(sorted(by_status.items()))

    def _answer(self, cause: Cause, refused: Refused) -> Answer:
        # A cause that a newer service knows and this gateway does not is worded as one that is not known.
        row = self._rows.get(cause) or self._rows[outcome_pb2.CAUSE_UNSPECIFIED]
        return Answer(row.status, row.body(refused))


def error(text: str, *members: Body) -> Body:
    """A body `{"error": text}` with further members."""

    def body(refused: Refused) -> dict[str, Any]:
        made: dict[str, Any] = {"error": text}
        for member in members:
            made |= member(refused)
        return made

    return body


def details(refused: Refused) -> dict[str, Any]:
    return {"details": listed(refused.faults[:MAX_DETAILS])}


def limit(refused: Refused) -> dict[str, Any]:
    return {"limit": refused.limit}


def usage(refused: Refused) -> dict[str, Any]:
    return {"limit": refused.limit, "used": refused.used, "remaining": refused.remaining}


MONTH_FULL = error("Monthly event limit exceeded", lambda _: {"code": "EVENT_LIMIT_EXCEEDED"}, usage)
"""What APIs 1, 2 and 3 say when the month's events are used up."""


def listed(faults: Iterable[Fault]) -> list[dict[str, Any]]:
    """Faults as APIs 2 and 3 list them: `index` only where one event is meant."""
    return [
        {"field": fault.field, "message": fault.message}
        if fault.index is None
        else {"index": fault.index, "field": fault.field, "message": fault.message}
        for fault in faults
    ]


Words = Callable[[int, str, str], Body]
"""Makes a body from a status, a short code such as `rate_limited`, and a sentence that says what the refusal means."""

_STANDARD: Mapping[Cause, tuple[int, str, str]] = {
    Rejection.NOT_JSON: (400, "invalid_json", "The body is not JSON."),
    Rejection.INVALID: (400, "invalid_request", "The body is not what this API takes."),
    Rejection.CREDENTIAL_MISSING: (401, "unauthorized", "Send the project's public key."),
    Rejection.FOREIGN_ORIGIN: (403, "forbidden", "A page of another site asks."),
    Rejection.METHOD: (405, "method_not_allowed", "This method is not taken here."),
    Rejection.TOO_LARGE: (413, "payload_too_large", "The request has too many bytes or events: send parts."),
    Rejection.MEDIA_TYPE: (415, "unsupported_media_type", "The content type or encoding is not read here."),
    Rejection.SLOW: (408, "request_timeout", "The body did not arrive in time."),
    outcome_pb2.CAUSE_UNSPECIFIED: (503, "unavailable", "Not confirmed: send it again."),
    outcome_pb2.CAUSE_CREDENTIAL_MISSING: (401, "unauthorized", "Send the project's public key."),
    outcome_pb2.CAUSE_CREDENTIAL_INVALID: (401, "unauthorized", "The key is unknown or revoked."),
    outcome_pb2.CAUSE_CREDENTIAL_KIND: (401, "unauthorized", "A key of this kind does not open this API."),
    outcome_pb2.CAUSE_SCOPE_MISSING: (403, "forbidden", "The key lacks the scope events:write."),
    outcome_pb2.CAUSE_PROJECT_FORBIDDEN: (403, "forbidden", "The key may not write to that project."),
    outcome_pb2.CAUSE_PROJECT_GONE: (401, "unauthorized", "The key's project is gone."),
    outcome_pb2.CAUSE_ORIGIN_FORBIDDEN: (403, "forbidden", "The project does not allow the origin."),
    outcome_pb2.CAUSE_INVALID: (400, "invalid_request", "The project's policy takes none of it."),
    outcome_pb2.CAUSE_TOO_LARGE: (413, "payload_too_large", "The request has too many bytes or events: send parts."),
    outcome_pb2.CAUSE_IDEMPOTENCY_MISMATCH: (
        422,
        "idempotency_key_reused",
        "The Idempotency-Key was used for another body.",
    ),
    outcome_pb2.CAUSE_RATE_LIMITED: (429, "rate_limited", "Too many requests in this window: wait."),
    outcome_pb2.CAUSE_QUOTA_EXCEEDED: (429, "quota_exceeded", "The events do not fit in the month's limit."),
    outcome_pb2.CAUSE_UNAVAILABLE: (503, "unavailable", "Not confirmed: send the same events again."),
}


def standard_rows(words: Words, statuses: Mapping[Cause, int] | None = None) -> dict[Cause, Row]:
    """A row for every cause, with the usual statuses but for those given; `words` makes each body."""
    rows = {}
    for cause, (status, code, when) in _STANDARD.items():
        chosen = (statuses or {}).get(cause, status)
        rows[cause] = Row(chosen, when, words(chosen, code, when))
    return rows


def _content(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema, "examples": {}}}


def _name(cause: Cause) -> str:
    return cause.value if isinstance(cause, Rejection) else outcome_pb2.Cause.Name(cause)[len("CAUSE_") :].lower()


_FAULT = {
    "type": "object",
    "required": ["field", "message"],
    "properties": {
        "index": {"type": "integer", "minimum": 0, "description": "The event's place; absent for the whole request."},
        "field": {"type": "string"},
        "message": {"type": "string"},
    },
}
FAULTS: Mapping[str, Any] = {"type": "array", "items": _FAULT}
ERROR: Mapping[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "string"},
        "code": {"type": "string"},
        "details": FAULTS,
        "limit": {"type": "integer"},
        "used": {"type": "integer"},
        "remaining": {"type": "integer"},
    },
}
"""The JSON Schema of every refusal of APIs 1, 2 and 3."""
