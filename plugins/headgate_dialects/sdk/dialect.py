"""What a dialect is: one documented ingestion API, from the request's bytes to its answer's.

A dialect is one file that defines one object of this shape. It is pure: it reads a request that is already in
memory, and says what it means or how an outcome is worded. Nothing outside its file knows its wording.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from headgate.v1 import event_pb2, ingest_service_pb2, outcome_pb2

from headgate_dialects.sdk.api import Api
from headgate_dialects.sdk.rejection import Rejection


class Inbound(msgspec.Struct, frozen=True):
    """One HTTP request with its decoded body; header names are lower-case. `path` is the route's, as the dialect wrote
    it, and `query` what stands behind the `?`, as it was sent."""

    headers: Mapping[str, str]
    body: bytes
    path: str = ""
    method: str = "POST"
    query: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request.

    `index` is the event's place from 0, None for the request as a whole; `field` names the field in the
    dialect's own manner; `message` is for a person to read.
    """

    index: int | None
    field: str
    message: str


class Parsed(msgspec.Struct, frozen=True):
    """What a request means.

    `request` is what the service is asked: the dialect fills its `entry` with the valid events, in order, and sets
    `each` where it answers for each of them; the gateway adds the rest. `places` are the events' places in the HTTP
    request, from 0 (empty: each is at its own index). `refused` events stand beside them, for `refused_reason` in the
    ledger; `faults` are theirs. `project` is
    the one the client names beside its credential. `all_or_nothing`: where the project's policy refuses one of the
    events, it refuses the request. `note` is for the dialect itself: what `accepted` is to know of the request.
    """

    request: ingest_service_pb2.GatheredRequest
    credential: str = ""
    project: str = ""
    faults: Sequence[Fault] = ()
    refused: int = 0
    refused_reason: outcome_pb2.Reason = outcome_pb2.REASON_INVALID
    places: Sequence[int] = ()
    all_or_nothing: bool = False
    note: str = ""

    @property
    def events(self) -> Sequence[event_pb2.Event]:
        return self.request.entry.events


@dataclass(eq=False)
class Unparsable(Exception):
    """The request as a whole cannot be taken, by the dialect's own rules.

    `refused` counts its events as far as they could be counted. `credential` is what could be read of it, so that the
    service can say first whether it opens the door at all; None where the dialect takes none, empty where it takes one
    and the request bears none. `limit` is what a TOO_LARGE request is over, where that is not the dialect's
    `max_body_bytes`. `note` is for the dialect itself: what `rejected` is to know of the request. `sample` is for the
    gateway. (Not frozen: Python itself writes to exceptions on their way up.)
    """

    cause: Rejection
    faults: Sequence[Fault] = ()
    credential: str | None = None
    project: str = ""
    refused: int = 0
    limit: int | None = None
    note: str = ""
    sample: bytes = b""


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer: `body` is a JSON value, or the bytes themselves; `headers` then name their Content-Type."""

    status: int
    body: Any
    headers: Mapping[str, str] = {}


class Dialect(Protocol):
    """One documented ingestion API. Anything that `parse` raises but Unparsable is a defect of the dialect."""

    api: Api

    def parse(self, inbound: Inbound) -> Parsed: ...

    def accepted(self, parsed: Parsed, response: ingest_service_pb2.IngestEventsResponse) -> Answer: ...

    def refused(self, refusal: outcome_pb2.Refusal, parsed: Parsed | None = None) -> Answer:
        """Word what the service refused; `parsed` is the request, where it was one that `parse` took."""
        ...

    def rejected(self, unparsable: Unparsable) -> Answer: ...

    def operation(self) -> dict[str, Any]:
        """The OpenAPI 3.1 operation of its first route's first method: request, answers, examples, `security`. Other
        routes and methods show the same with an `operationId` that ends in their place.

        Common request headers (Idempotency-Key, Headgate-Dry-Run, Content-Encoding), common answer headers (rate,
        receipt, Retry-After) and empty `headers` need not be repeated: the gateway adds them where they are absent.
        """
        ...

    def components(self) -> dict[str, Any]:
        """OpenAPI components that `operation` refers to, such as {"securitySchemes": {...}, "schemas": {...}}.

        One name means one thing over all dialects: prefix what is the dialect's own.
        """
        ...
