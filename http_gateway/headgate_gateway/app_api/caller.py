"""Who asks, as a request shows it, and as the service is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from headgate_dialects.formats.browser import foreign_origin, same_origin, session_of

from headgate_gateway.http.headers import retry_after

RETRY_SECONDS = "1"

STATUSES: dict[grpc.StatusCode, tuple[int, str]] = {
    grpc.StatusCode.INVALID_ARGUMENT: (400, "invalid_argument"),
    grpc.StatusCode.UNAUTHENTICATED: (401, "unauthorized"),
    grpc.StatusCode.PERMISSION_DENIED: (403, "forbidden"),
    grpc.StatusCode.NOT_FOUND: (404, "not_found"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (408, "timeout"),
    grpc.StatusCode.ALREADY_EXISTS: (409, "conflict"),
    grpc.StatusCode.ABORTED: (409, "conflict"),
    grpc.StatusCode.FAILED_PRECONDITION: (422, "unprocessable"),
    grpc.StatusCode.OUT_OF_RANGE: (422, "unprocessable"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (429, "limit_exceeded"),
    grpc.StatusCode.UNAVAILABLE: (503, "unavailable"),
}
_DEFECT = (500, "internal_error")
# Fields that are spelt otherwise in JSON than in protobuf.
_JSON_NAMES = {"time_zone": "timezone", "old_password": "oldPassword", "new_password": "newPassword"}


@dataclass(eq=False)
class Failure(Exception):
    """What a client is told instead of an answer. `code` is a word that stays the same."""

    status: int
    code: str
    message: str
    details: list[dict[str, str]] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)


def failure_of(error: grpc.aio.AioRpcError) -> Failure:
    """The failure that a call's status stands for."""
    status, code = STATUSES.get(error.code(), _DEFECT)
    message = error.details() or ""
    if status == _DEFECT[0]:
        return Failure(status, code, "This should not have happened; it is logged.")
    details: list[dict[str, str]] = []
    headers = {"Retry-After": RETRY_SECONDS} if status in (429, 503) else {}
    for detail in _details(error):
        match detail:
            case error_details_pb2.ErrorInfo():
                code = detail.reason or code
            case error_details_pb2.BadRequest():
                details += [_violation(one.field, one.description) for one in detail.field_violations]
            case error_details_pb2.RetryInfo() if status in (429, 503):
                headers = {"Retry-After": retry_after(detail.retry_delay)}
    if status == 503 and code == "unavailable":
        message = "The service does not answer: retry."
    return Failure(status, code, message, details, headers)


def _violation(place: str, message: str) -> dict[str, str]:
    # A place in a document is a JSON Pointer, which is empty for the whole of it.
    kind = "path" if place.startswith("/") or not place else "field"
    return {kind: _JSON_NAMES.get(place, place), "message": message}


def _details(error: grpc.aio.AioRpcError) -> list[Any]:
    status = rpc_status.from_call(error)
    known = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
    found: list[Any] = []
    for packed in status.details if status else ():
        for kind in known:
            if packed.Is(kind.DESCRIPTOR):
                unpacked = kind()
                packed.Unpack(unpacked)
                found.append(unpacked)
    return found


Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """The text of a credential, empty where there is none, and whether a browser added it by itself, as a cookie."""

    credential: str = field(repr=False)
    by_cookie: bool

    def metadata(self) -> Metadata:
        """What the service is told."""
        if not self.credential:
            return ()
        # Metadata bears printable ASCII only; no credential has anything else.
        sound = self.credential.isascii() and self.credential.isprintable()
        return (("authorization", f"Bearer {self.credential if sound else '?'}"),)


def caller_of(headers: Mapping[str, str], *, by_key: bool = False) -> Caller:
    """The bearer, else, `by_key`, the key in X-API-Key, else the session's cookie."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer.strip():
        return Caller(bearer.strip(), by_cookie=False)
    if by_key and (key := headers.get("x-api-key", "").strip()):
        return Caller(key, by_cookie=False)
    return Caller(session_of(headers), by_cookie=True)


def check_origin(caller: Caller, headers: Mapping[str, str], *, changes: bool, takes_credential: bool) -> None:
    """Refuses a change that another site's page had a browser ask for. Raises Failure.

    A cookie goes along by itself, so that a change by it needs proof of its origin. What needs no credential, such as
    signing in, is refused to those pages only that are known to be another site's.
    """
    if not changes:
        return
    if takes_credential:
        refused = caller.by_cookie and bool(caller.credential) and not same_origin(headers)
    else:
        refused = foreign_origin(headers)
    if refused:
        raise Failure(
            403, "cross_origin", "A change by cookie needs an Origin, or a Sec-Fetch-Site, of this very origin."
        )
