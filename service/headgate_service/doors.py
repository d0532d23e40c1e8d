"""Which credential opens which door: one table, and who may enter by it."""

from headgate.v1 import event_pb2, outcome_pb2

from headgate_service.key_kind import KeyKind

WRITE_SCOPE = "events:write"

_PUBLIC = frozenset({KeyKind.PUBLIC, KeyKind.TEST})

# The API that takes no credential has no row.
DOORS: dict[event_pb2.Dialect, frozenset[KeyKind]] = {
    event_pb2.DIALECT_XAIKU: _PUBLIC,
    event_pb2.DIALECT_REALANALYTICS: _PUBLIC,
    event_pb2.DIALECT_PROMPTING_COMPANY: frozenset({KeyKind.ORGANISATION}),
    event_pb2.DIALECT_GRPC: frozenset({KeyKind.SECRET, KeyKind.ORGANISATION}),
}


def closed_because(dialect: event_pb2.Dialect, kind: KeyKind, scopes: frozenset[str]) -> outcome_pb2.Cause | None:
    """Why a good credential may not write by this API; None where it may."""
    if kind not in DOORS[dialect]:
        return outcome_pb2.CAUSE_CREDENTIAL_KIND
    if kind == KeyKind.ORGANISATION and WRITE_SCOPE not in scopes:
        return outcome_pb2.CAUSE_SCOPE_MISSING
    return None
