"""The wording of every refusal in every dialect, written out once more, as the contract has it."""

from collections.abc import Mapping
from typing import Any

import pytest
from headgate.v1 import outcome_pb2
from headgate_dialects.builtin.codcompass import Codcompass
from headgate_dialects.builtin.prompting_company import PromptingCompany
from headgate_dialects.builtin.realanalytics import RealAnalytics
from headgate_dialects.builtin.xaiku import Xaiku
from headgate_dialects.sdk.dialect import Answer, Dialect, Fault, Unparsable
from headgate_dialects.sdk.rejection import Rejection

LIMIT, USED = 10_000, 9_990
MONTH = {
    "error": "Monthly event limit exceeded",
    "code": "EVENT_LIMIT_EXCEEDED",
    "limit": LIMIT,
    "used": USED,
    "remaining": LIMIT - USED,
}
USAGE = {"limit": LIMIT, "used": USED, "remaining": LIMIT - USED}
FIELD = {"index": 3, "field": "f", "message": "m"}
WHOLE = {"field": "events", "message": "told by the service"}


def _error(text: str, **members: Any) -> dict[str, Any]:
    return {"error": text} | members


def _common(unavailable: str) -> dict[str, tuple[int, dict[str, Any]]]:
    return {
        "method": (405, _error("Method not allowed")),
        "media_type": (415, _error("Unsupported media type")),
        "slow": (408, _error("Request timeout")),
        "foreign_origin": (403, _error("Origin not allowed")),
        "CAUSE_UNSPECIFIED": (503, _error(unavailable)),
        "CAUSE_ORIGIN_FORBIDDEN": (403, _error("Origin not allowed")),
        "CAUSE_IDEMPOTENCY_MISMATCH": (422, _error("Idempotency key reused")),
        "CAUSE_RATE_LIMITED": (429, _error("Rate limit exceeded")),
        "CAUSE_QUOTA_EXCEEDED": (429, MONTH),
        "CAUSE_UNAVAILABLE": (503, _error(unavailable)),
    }


def _keyed(missing: str, invalid: str, faulty: str, limit: int) -> dict[str, tuple[int, dict[str, Any]]]:
    refused_keys = ("CREDENTIAL_INVALID", "CREDENTIAL_KIND", "SCOPE_MISSING", "PROJECT_FORBIDDEN", "PROJECT_GONE")
    return _common("Service unavailable") | {
        "not_json": (400, _error(faulty, details=[FIELD])),
        "invalid": (400, _error(faulty, details=[FIELD])),
        "credential_missing": (401, _error(missing)),
        "too_large": (413, _error("Payload too large", limit=limit)),
        "CAUSE_CREDENTIAL_MISSING": (401, _error(missing)),
        **{f"CAUSE_{name}": (401, _error(invalid)) for name in refused_keys},
        "CAUSE_INVALID": (400, _error(faulty, details=[WHOLE])),
        "CAUSE_TOO_LARGE": (413, _error("Payload too large", limit=LIMIT)),
    }


_UNMAPPED = (503, _error("Failed to process events"))
EXPECTED: Mapping[str, Mapping[str, tuple[int, Any]]] = {
    "codcompass": _common("Failed to process events")
    | {
        "not_json": (500, _error("Failed to process events")),
        "invalid": (400, _error("Invalid events")),
        "credential_missing": _UNMAPPED,
        "too_large": (413, _error("Payload too large")),
        "CAUSE_CREDENTIAL_MISSING": _UNMAPPED,
        "CAUSE_CREDENTIAL_INVALID": _UNMAPPED,
        "CAUSE_CREDENTIAL_KIND": _UNMAPPED,
        "CAUSE_SCOPE_MISSING": _UNMAPPED,
        "CAUSE_PROJECT_FORBIDDEN": (403, _error("Origin not allowed")),
        "CAUSE_PROJECT_GONE": _UNMAPPED,
        "CAUSE_INVALID": (400, _error("Invalid events")),
        "CAUSE_TOO_LARGE": (413, _error("Payload too large")),
    },
    "xaiku": _keyed("Missing or malformed public key", "Invalid public key", "Invalid events", 1_048_576),
    "realanalytics": _keyed("Invalid API key", "Invalid API key", "Validation failed", 1_048_576),
    # The code, and the details where there are any; `message` is for people.
    "prompting_company": {
        "not_json": (400, ("bad_request", [{"path": "f", "message": "m"}])),
        "invalid": (422, ("validation_failed", [{"path": "f", "message": "m"}])),
        "credential_missing": (401, ("unauthorized", None)),
        "method": (405, ("method_not_allowed", None)),
        "too_large": (413, ("payload_too_large", {"limit": 1_048_576})),
        "media_type": (415, ("unsupported_media_type", None)),
        "slow": (408, ("request_timeout", None)),
        "foreign_origin": (403, ("forbidden", None)),
        "CAUSE_UNSPECIFIED": (500, ("internal_error", None)),
        "CAUSE_CREDENTIAL_MISSING": (401, ("unauthorized", None)),
        "CAUSE_CREDENTIAL_INVALID": (401, ("unauthorized", None)),
        "CAUSE_CREDENTIAL_KIND": (403, ("forbidden", None)),
        "CAUSE_SCOPE_MISSING": (403, ("forbidden", None)),
        "CAUSE_PROJECT_FORBIDDEN": (403, ("forbidden", None)),
        "CAUSE_PROJECT_GONE": (404, ("not_found", None)),
        "CAUSE_ORIGIN_FORBIDDEN": (403, ("forbidden", None)),
        "CAUSE_INVALID": (422, ("validation_failed", [{"path": "", "message": "told by the service"}])),
        "CAUSE_TOO_LARGE": (413, ("payload_too_large", {"limit": LIMIT})),
        "CAUSE_IDEMPOTENCY_MISMATCH": (422, ("idempotency_key_reused", None)),
        "CAUSE_RATE_LIMITED": (429, ("rate_limited", USAGE)),
        "CAUSE_QUOTA_EXCEEDED": (429, ("quota_exceeded", USAGE)),
        "CAUSE_UNAVAILABLE": (503, ("unavailable", None)),
    },
}

DIALECTS: tuple[Dialect, ...] = (Codcompass(), Xaiku(), RealAnalytics(), PromptingCompany())
dialects = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.api.name)


@dialects
@pytest.mark.parametrize("cause", outcome_pb2.Cause.keys())
def test_cause_of_the_service(dialect: Dialect, cause: str) -> None:
    value = outcome_pb2.Cause.Value(cause)
    refusal = outcome_pb2.Refusal(cause=value, message="told by the service", limit=LIMIT, used=USED)
    _assert_worded(dialect, cause, dialect.refused(refusal))


@dialects
@pytest.mark.parametrize("cause", Rejection)
def test_rejection_of_the_gateway(dialect: Dialect, cause: Rejection) -> None:
    _assert_worded(dialect, cause.value, dialect.rejected(Unparsable(cause, [Fault(3, "f", "m")])))


def _assert_worded(dialect: Dialect, cause: str, answer: Answer) -> None:
    status, expected = EXPECTED[dialect.api.name][cause]
    assert answer.status == status
    if dialect.api.name != "prompting_company":
        assert answer.body == expected
        return
    code, details = expected
    message = answer.body["message"]
    assert message == ("told by the service" if cause.startswith("CAUSE_") else message) != ""
    body = {"ok": False, "code": code, "message": message}
    assert answer.body == (body if details is None else body | {"details": details})


@dialects
def test_cause_of_a_newer_service(dialect: Dialect) -> None:
    newer = outcome_pb2.Refusal.FromString(b"\x08\x63")
    assert dialect.refused(newer) == dialect.refused(outcome_pb2.Refusal())


@dialects
def test_a_message_is_made_where_the_service_gives_none(dialect: Dialect) -> None:
    for cause in outcome_pb2.Cause.values():
        body = dialect.refused(outcome_pb2.Refusal(cause=cause)).body
        assert body.get("message", "-")


@dialects
def test_too_large_by_no_limit_of_its_own_is_over_the_dialects(dialect: Dialect) -> None:
    for answer in (
        dialect.refused(outcome_pb2.Refusal(cause=outcome_pb2.CAUSE_TOO_LARGE)),
        dialect.rejected(Unparsable(Rejection.TOO_LARGE)),
    ):
        told = answer.body.get("details", answer.body)
        assert told.get("limit") == (None if dialect.api.name == "codcompass" else dialect.api.max_body_bytes)


def test_more_used_than_the_limit_leaves_nothing() -> None:
    """As after an operator lowered the limit."""
    for dialect in DIALECTS:
        refusal = outcome_pb2.Refusal(cause=outcome_pb2.CAUSE_QUOTA_EXCEEDED, limit=10, used=12)
        body = dialect.refused(refusal).body
        assert body.get("details", body)["remaining"] == 0
