"""The kinds of key: what they are called, on paper and on the wire, and how their keys begin."""

from enum import StrEnum

from headgate.v1 import admin_service_pb2 as admin


class KeyKind(StrEnum):
    """What doors a key opens."""

    PUBLIC = "public"
    TEST = "test"
    SECRET = "secret"  # noqa: S105 - the name of a kind, not a credential
    ORGANISATION = "organisation"


KEY_PREFIXES: dict[KeyKind, str] = {
    KeyKind.PUBLIC: "pk_live_",
    KeyKind.TEST: "pk_test_",
    KeyKind.SECRET: "sk_live_",
    KeyKind.ORGANISATION: "org_live_",
}
WIRE_KINDS: dict[KeyKind, admin.KeyKind] = {
    KeyKind.PUBLIC: admin.KEY_KIND_PUBLIC,
    KeyKind.TEST: admin.KEY_KIND_TEST,
    KeyKind.SECRET: admin.KEY_KIND_SECRET,
    KeyKind.ORGANISATION: admin.KEY_KIND_ORGANISATION,
}
KINDS_BY_WIRE: dict[admin.KeyKind, KeyKind] = {wire: kind for kind, wire in WIRE_KINDS.items()}
