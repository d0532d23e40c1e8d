"""Values that many answers of the app API hold, as JSON."""

from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1 import role_pb2

ROLES = {
    "viewer": role_pb2.ROLE_VIEWER,
    "member": role_pb2.ROLE_MEMBER,
    "admin": role_pb2.ROLE_ADMIN,
    "owner": role_pb2.ROLE_OWNER,
}
ROLE_NAMES = {role: name for name, role in ROLES.items()}
KEY_KINDS = {
    "public": admin.KEY_KIND_PUBLIC,
    "test": admin.KEY_KIND_TEST,
    "secret": admin.KEY_KIND_SECRET,
    "organisation": admin.KEY_KIND_ORGANISATION,
}
KEY_KIND_NAMES = {kind: name for name, kind in KEY_KINDS.items()}


def rfc3339(moment: Timestamp) -> str:
    """A time in UTC, to the millisecond."""
    return f"{moment.ToDatetime().isoformat(timespec='milliseconds')}Z"


def rate(limit: admin.RateLimit) -> str:
    """A rate limit as settings write it: 1000/60s."""
    return f"{limit.requests}/{limit.window.seconds}s"
