"""An API that takes events in: what it is called, which credentials it takes and what its events may bear."""

import re
from functools import lru_cache
from typing import cast

import msgspec
from headgate.v1 import admin_service_pb2, event_pb2
from headgate.v1.ingest_service_pb2 import ApiAccess

from headgate_service.model.key import KINDS_BY_WIRE, KeyKind

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
# What a key of a project or an organisation may do at all; a secret key opens no HTTP API, whatever a dialect says.
_OVER_HTTP = frozenset({KeyKind.PUBLIC, KeyKind.TEST, KeyKind.ORGANISATION})
_NO_DIALECT_OF_HTTP = frozenset({event_pb2.DIALECT_UNSPECIFIED, event_pb2.DIALECT_GRPC, event_pb2.DIALECT_PLUGIN})


class ApiUnknown(Exception):
    """A gateway did not say which API a request came by: it is of another version."""


class Api(msgspec.Struct, frozen=True):
    """`dialect` and `dialect_name` are what events and log entries bear. No `key_kinds`: it takes no credential.
    `people`: it takes their sessions and tokens too. `event_ids`: its events may bear ids of the client. `internal`:
    its callers are services, and the gateway did not read their requests."""

    dialect: event_pb2.Dialect
    dialect_name: str = ""
    key_kinds: frozenset[KeyKind] = frozenset()
    people: bool = False
    event_ids: bool = False
    internal: bool = False

    @property
    def shown(self) -> str:
        """What people see it called."""
        return self.dialect_name or event_pb2.Dialect.Name(self.dialect)

    @property
    def scope(self) -> str:
        """What tells its idempotency keys from those of other APIs."""
        return self.dialect_name or str(int(self.dialect))


GRPC = Api(
    event_pb2.DIALECT_GRPC, key_kinds=frozenset({KeyKind.SECRET, KeyKind.ORGANISATION}), event_ids=True, internal=True
)


_PROJECT_KEYS = (admin_service_pb2.KEY_KIND_PUBLIC, admin_service_pb2.KEY_KIND_TEST)
_BEFORE = {
    event_pb2.DIALECT_CODCOMPASS: ApiAccess(name="codcompass"),
    event_pb2.DIALECT_XAIKU: ApiAccess(name="xaiku", key_kinds=_PROJECT_KEYS),
    event_pb2.DIALECT_REALANALYTICS: ApiAccess(name="realanalytics", key_kinds=_PROJECT_KEYS),
    event_pb2.DIALECT_PROMPTING_COMPANY: ApiAccess(
        name="prompting_company", key_kinds=(admin_service_pb2.KEY_KIND_ORGANISATION,), people=True, event_ids=True
    ),
}
_ENCODED_BEFORE = {dialect: access.SerializeToString() for dialect, access in _BEFORE.items()}


def access_before(dialect: event_pb2.Dialect) -> bytes:
    """The encoded ApiAccess of an API that a gateway of contract 1 names by its number; empty where it names none."""
    return _ENCODED_BEFORE.get(dialect, b"")


@lru_cache(maxsize=256)
def api_of(encoded: bytes) -> Api:
    """The API behind an encoded ApiAccess. Raises ApiUnknown."""
    access = ApiAccess.FromString(encoded)
    if not _NAME.fullmatch(access.name):
        raise ApiUnknown("the gateway names no API: it is of another version than the service")
    known = event_pb2.Dialect.DESCRIPTOR.values_by_name.get(f"DIALECT_{access.name.upper()}")
    kinds = frozenset(kind for wire in access.key_kinds if (kind := KINDS_BY_WIRE.get(wire)) is not None)
    if kinds and not kinds & _OVER_HTTP:
        raise ApiUnknown(f"the API {access.name!r} takes no kind of key that opens an HTTP API")
    by_name = known is None or known.number in _NO_DIALECT_OF_HTTP
    return Api(
        cast(event_pb2.Dialect, event_pb2.DIALECT_PLUGIN if known is None or by_name else known.number),
        access.name if by_name else "",
        kinds & _OVER_HTTP,
        access.people,
        access.event_ids,
    )
