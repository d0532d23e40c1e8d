"""An operation of the app API: what it is asked over HTTP, which gRPC method does it, what it answers.

The gateway serves operations over HTTP; the command line calls the same ones as a person over HTTP or, as the operator,
over the admin socket.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1 import role_pb2

from headgate_gateway.app_api.fields import Field, read_body

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


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: the parts of its path, its query and its body, of which the last two are read already."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """`path` has its parts in braces. `rpc` picks the method of a stub on a channel, whichever kind of channel it is.

    `streams`: the method answers with a stream, each message of which `answer` renders; what it renders as None is a
    sign of life. `whole_body`: the body is any JSON object, with no fields of its own. `key`: a secret key in the
    header X-API-Key goes along, as the metadata `headgate-key`. `by_key`: a key in that header is who asks, where there
    is no bearer.

    `open`: it takes no credential. `changes`: whether it changes anything, None as its HTTP method says; what does is
    refused to other sites' pages. `session`: what of the answer becomes the session's cookie, and for how many seconds;
    no text removes it.
    """

    method: str
    path: str
    summary: str
    rpc: Callable[[Any], Any]
    request: Callable[[Asked], Message]
    answer: Callable[[Any], dict[str, Any] | None]
    query: tuple[Field, ...] = ()
    body: tuple[Field, ...] = ()
    status: int = 200
    seconds: float = 15.0
    streams: bool = False
    whole_body: bool = False
    key: bool = False
    by_key: bool = False
    open: bool = False
    changes: bool | None = None
    session: Callable[[Any], tuple[str, int]] | None = None

    @property
    def changes_something(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET" if self.changes is None else self.changes

    def read_body(self, body: object) -> Mapping[str, Any]:
        """What the body says. Raises FieldInvalid."""
        if self.whole_body and isinstance(body, dict):
            return body
        return read_body(self.body, body)

    def url(self, parts: Mapping[str, str]) -> str:
        """The path with its parts filled in."""
        return self.path.format_map({name: quote(text, safe="@") for name, text in parts.items()})
