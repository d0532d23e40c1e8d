"""What a dialect is: one documented ingestion API, from the request's bytes to its answer's.

A dialect is one file that defines one object of this shape. It is pure: it reads a request that is already in
memory, and says what it means or how an outcome is worded. Nothing outside its file knows its wording.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from headgate.v1 import event_pb2, ingest_service_pb2, outcome_pb2


@dataclass(frozen=True, slots=True)
class Inbound:
    """One HTTP request with its decoded body; header names are lower-case."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request.

    `index` is the event's place from 0, None for the request as a whole; `field` names the field in the
    dialect's own manner; `message` is for a person to read.
    """

    index: int | None
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a request means.

    `events` are valid, in order. `faults` belong to the `refused` events beside them. `project` is the one the client
    names beside its credential.
    """

    events: Sequence[event_pb2.Event]
    credential: str = ""
    project: str = ""
    faults: Sequence[Fault] = ()
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Unparsable(Exception):  # noqa: N818 - a noun of cause
    """The request as a whole cannot be taken, by the dialect's own rules.

    `refused` counts its events as far as they could be counted. `credential` is what could be read of it, so that the
    service can say first whether it opens the door at all; None where the dialect takes none.
    """

    cause: "Rejection"
    faults: Sequence[Fault] = ()
    credential: str | None = None
    project: str = ""
    refused: int = 0


class Rejection:
    """Causes that the gateway finds before the service is asked; names for the keys of a dialect's table."""

    NOT_JSON = "not_json"
    INVALID = "invalid"
    CREDENTIAL_MISSING = "credential_missing"
    METHOD = "method"
    TOO_LARGE = "too_large"
    MEDIA_TYPE = "media_type"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: `body` is a JSON value."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class Dialect(Protocol):
    """One documented ingestion API."""

    name: str
    path: str
    kind: event_pb2.Dialect
    max_body_bytes: int

    def parse(self, inbound: Inbound) -> Parsed: ...

    def accepted(self, parsed: Parsed, response: ingest_service_pb2.IngestEventsResponse) -> Answer: ...

    def refused(self, refusal: outcome_pb2.Refusal) -> Answer: ...

    def rejected(self, unparsable: Unparsable) -> Answer: ...
