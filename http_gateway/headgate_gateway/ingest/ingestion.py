"""What becomes of one request to an ingestion API: body, dialect, service, answer."""

import contextlib
import hashlib
import re
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import structlog
from google.protobuf.duration_pb2 import Duration
from headgate.v1 import ingest_service_pb2, outcome_pb2
from headgate_dialects.formats.strict_json import lone_surrogates
from headgate_dialects.sdk.api import Route
from headgate_dialects.sdk.dialect import Answer, Dialect, Fault, Inbound, Parsed, Unparsable
from headgate_dialects.sdk.rejection import Rejection
from msgspec.structs import replace

from headgate_gateway.http.body import BodyFault, BodyReader, Receive, read_body
from headgate_gateway.http.body_budget import Overloaded
from headgate_gateway.http.client_address import Network, client_address
from headgate_gateway.http.event_json import event_json
from headgate_gateway.http.headers import rate_headers, retry_after
from headgate_gateway.ingest.client import IngestClient, RequestTooLarge, ServiceUnavailable
from headgate_gateway.metrics import Metrics

_YES = frozenset({"1", "true"})
_NO = frozenset({"", "0", "false"})


def asks_dry_run(value: str) -> bool:
    """Read the header Headgate-Dry-Run; what is neither yes nor no is Unparsable.

    To take an unknown word for a no would store events that their sender wanted only to try out.
    """
    word = value.strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise Unparsable(Rejection.INVALID, (Fault(None, "Headgate-Dry-Run", "must be 1 or 0"),))


def dry_run_report(answer: ingest_service_pb2.GatheredAnswer, places: Sequence[int] = ()) -> dict[str, Any]:
    """The canonical events, how many of them a quota would count, the sinks where the service names them, and what the
    project's policy drops, refuses or warns of, by the events' places in the request (`places`; empty: their own)."""
    # The service shows what it would store, and a quota counts just that.
    events = answer.dry_run_events
    report: dict[str, Any] = {"events": [event_json(event) for event in events], "quota": len(events)}
    if answer.dry_run_sinks:
        report["sinks"] = list(answer.dry_run_sinks)
    for name, told in (("dropped", _dropped), ("refused", _refused), ("warnings", _warnings)):
        if rows := [row for result in answer.response.results if (row := told(result, places))]:
            report[name] = rows
    return report


def _dropped(result: outcome_pb2.EventResult, places: Sequence[int]) -> dict[str, Any]:
    if result.outcome != outcome_pb2.OUTCOME_DROPPED:
        return {}
    reason = outcome_pb2.Reason.Name(result.reason).removeprefix("REASON_").lower()
    return {"index": _place(result, places), "reason": reason}


def _refused(result: outcome_pb2.EventResult, places: Sequence[int]) -> dict[str, Any]:
    if result.outcome != outcome_pb2.OUTCOME_REFUSED:
        return {}
    return {"index": _place(result, places), "field": result.field, "message": result.message}


def _warnings(result: outcome_pb2.EventResult, places: Sequence[int]) -> dict[str, Any]:
    return {"index": _place(result, places), "messages": list(result.warnings)} if result.warnings else {}


def _place(result: outcome_pb2.EventResult, places: Sequence[int]) -> int:
    return places[result.index] if places else result.index


def _with_report(answer: Answer, report: dict[str, Any]) -> Answer:
    """An answer that is not a JSON object stands beside the report, as `answer`."""
    if isinstance(answer.body, Mapping):
        return replace(answer, body={**answer.body, "dryRun": report})
    shown = answer.body.decode(errors="replace") if isinstance(answer.body, bytes) else answer.body
    headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-type"}
    return replace(answer, body={"answer": shown, "dryRun": report}, headers=headers)


_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]{1,255}")
# Of a refused request, for people who ask why it did not arrive.
_SAMPLE_BYTES, _SAMPLE_FAULTS = 2_048, 10
_MUST_WAIT = frozenset({429, 503})
NOT_CONFIRMED = outcome_pb2.Refusal(
    cause=outcome_pb2.CAUSE_UNAVAILABLE,
    message="Not confirmed: retry with the same idempotency key or event ids.",
    retry_after=Duration(seconds=1),
)


class Reply(msgspec.Struct, frozen=True):
    """An answer with everything but CORS. `unread`: the request's body may still be on its way."""

    answer: Answer
    headers: Mapping[str, str] = {}
    unread: bool = False


class _Caller(msgspec.Struct, frozen=True):
    headers: Mapping[str, str]
    address: str
    method: str = "POST"
    query: str = ""


class Ingestion:
    """The way of a request through the gateway, for one route of a dialect. Every word of a body is the dialect's."""

    def __init__(
        self,
        dialect: Dialect,
        route: Route,
        client: IngestClient,
        reader: BodyReader,
        trusted_proxies: Sequence[Network],
        metrics: Metrics,
    ) -> None:
        self.dialect = dialect
        self.route = route
        self.name = dialect.api.name
        self._client = client
        self._reader = reader
        self._trusted_proxies = trusted_proxies
        self._metrics = metrics

    async def reply(
        self,
        headers: Mapping[str, str],
        receive: Receive,
        peer: str,
        *,
        whole: bool,
        method: str = "POST",
        query: str = "",
    ) -> Reply:
        """Answer a request, whose body is `whole` or still arriving; raises ClientGone where nobody is left to hear it.

        `method` and `query` are those of its first line.
        """
        caller = _Caller(headers, client_address(peer, headers, self._trusted_proxies), method, query)
        try:
            parsed, request, replaced = await read_body(
                headers,
                receive,
                self.dialect.api.max_body_bytes,
                self._reader,
                partial(self._read, caller),
                whole=whole,
            )
        except BodyFault as fault:
            if fault.cause is Rejection.NOT_JSON:
                return await self._refuse(self._undecodable(caller, fault), caller)
            reply = self.rejected(Unparsable(fault.cause, (Fault(None, "body", fault.message),), limit=fault.limit))
            return replace(reply, headers=fault.headers, unread=fault.unread)
        except Unparsable as unparsable:
            return await self._refuse(unparsable, caller)
        except Overloaded as overloaded:
            self._metrics.shed("body")
            return replace(self._refused(NOT_CONFIRMED, outcome_pb2.LimitState()), unread=overloaded.unread)
        try:
            answer = await self._client.ingest(request)
        except ServiceUnavailable:
            return self._refused(NOT_CONFIRMED, outcome_pb2.LimitState())
        except RequestTooLarge as too_large:
            return self.rejected(Unparsable(Rejection.TOO_LARGE, (Fault(None, "body", str(too_large)),)))
        if answer.WhichOneof("answer") == "response":
            return self._accepted(parsed, answer, replaced, dry_run=request.dry_run)
        return self._refused(answer.refusal, answer.limits, parsed)

    def _read(self, caller: _Caller, body: bytes) -> tuple[Parsed, ingest_service_pb2.GatheredRequest, int]:
        """What the body says, what the service is asked and how many lone surrogates were replaced; raises Unparsable.
        It may run beside the event loop."""
        try:
            parsed = self.dialect.parse(Inbound(caller.headers, body, self.route.path, caller.method, caller.query))
        except Unparsable as unparsable:
            unparsable.sample = body[:_SAMPLE_BYTES]
            raise
        replaced = lone_surrogates(body) if b"\\ud" in body or b"\\uD" in body else 0
        try:
            return parsed, self._gathered(parsed, caller, body), replaced
        except Unparsable as unparsable:
            raise _with_credential_of(parsed, unparsable) from None

    def _gathered(self, parsed: Parsed, caller: _Caller, body: bytes) -> ingest_service_pb2.GatheredRequest:
        headers = caller.headers
        request = parsed.request
        request.MergeFromString(self.dialect.api.encoded)
        request.credential = parsed.credential
        request.project = parsed.project
        request.origin = headers.get("origin", "")
        request.client_address = caller.address
        if "headgate-dry-run" in headers:
            request.dry_run = asks_dry_run(headers["headgate-dry-run"])
        if "idempotency-key" in headers and not request.dry_run:
            request.idempotency_key = _idempotency_key(headers["idempotency-key"])
            request.body_hash = self._hash(caller, body)
        if parsed.all_or_nothing:
            request.all_or_nothing = True
        if parsed.refused:
            request.refused = parsed.refused
            request.refused_reason = parsed.refused_reason
            request.refused_sample = body[:_SAMPLE_BYTES]
            request.refused_faults.extend(_event_faults(parsed.faults))
        return request

    def _hash(self, caller: _Caller, body: bytes) -> bytes:
        # What a client asks by the path or the query is part of what it asks.
        routes = self.dialect.api.routes
        where = f"{self.route.path}?{caller.query}\n".encode() if len(routes) > 1 else b""
        return hashlib.sha256(where + body).digest()

    def _accepted(
        self, parsed: Parsed, answer: ingest_service_pb2.GatheredAnswer, replaced: int, *, dry_run: bool
    ) -> Reply:
        response = answer.response
        if not dry_run and not response.replayed:
            self._count(parsed, response)
            if replaced:
                self._metrics.replaced(self.name, replaced)
        worded = self.dialect.accepted(parsed, response)
        headers = rate_headers(response.limits)
        if response.receipt:
            headers["Headgate-Receipt"] = response.receipt
        if warnings := response.warned + replaced:
            headers["Headgate-Warnings"] = str(warnings)
        if dry_run:
            worded = _with_report(worded, dry_run_report(answer, parsed.places))
        return Reply(worded, headers)

    def _count(self, parsed: Parsed, response: ingest_service_pb2.IngestEventsResponse) -> None:
        # The service names no results of a batch that it took whole.
        results = response.results
        if unnamed := len(parsed.events) - len(results):
            self._metrics.judged(self.name, outcome_pb2.OUTCOME_ACCEPTED, unnamed)
        for result in results:
            self._metrics.judged(self.name, result.outcome, 1)
        if response.warned:
            self._metrics.warned(self.name, response.warned)
        if parsed.refused:
            self._metrics.judged(self.name, outcome_pb2.OUTCOME_REFUSED, parsed.refused)

    def _refused(
        self, refusal: outcome_pb2.Refusal, limits: outcome_pb2.LimitState, parsed: Parsed | None = None
    ) -> Reply:
        cause = outcome_pb2.Cause.Name(refusal.cause).removeprefix("CAUSE_").lower()
        self._metrics.refused(self.name, cause)
        worded = self.dialect.refused(refusal, parsed)
        headers = rate_headers(limits)
        if refusal.cause == outcome_pb2.CAUSE_QUOTA_EXCEEDED:
            # A published client sleeps Retry-After inside its caller's await, and a month can be weeks away.
            headers["X-Should-Retry"] = "false"
        elif worded.status in _MUST_WAIT:
            headers["Retry-After"] = retry_after(refusal.retry_after)
        return Reply(worded, headers)

    def rejected(self, unparsable: Unparsable) -> Reply:
        """Refuse for a cause that the gateway found."""
        self._metrics.refused(self.name, unparsable.cause)
        return Reply(self.dialect.rejected(unparsable))

    async def _refuse(self, unparsable: Unparsable, caller: _Caller) -> Reply:
        """Refuse in the dialect's words, unless the service says that the caller may not enter at all."""
        asked = None
        if unparsable.cause is not Rejection.CREDENTIAL_MISSING and unparsable.credential != "":
            asked = await self._ask(unparsable, caller)
        if asked is not None and asked.WhichOneof("answer") == "refusal":
            return self._refused(asked.refusal, asked.limits)
        if unparsable.refused:
            self._metrics.judged(self.name, outcome_pb2.OUTCOME_REFUSED, unparsable.refused)
        reply = self.rejected(unparsable)
        return reply if asked is None else replace(reply, headers=rate_headers(asked.response.limits))

    async def _ask(self, unparsable: Unparsable, caller: _Caller) -> ingest_service_pb2.GatheredAnswer | None:
        too_large = unparsable.cause is Rejection.TOO_LARGE
        request = self.dialect.api.request()
        request.credential, request.project = unparsable.credential or "", unparsable.project
        request.origin, request.client_address = caller.headers.get("origin", ""), caller.address
        request.refused = unparsable.refused
        request.refused_reason = outcome_pb2.REASON_TOO_LARGE if too_large else outcome_pb2.REASON_INVALID
        request.refused_sample = unparsable.sample
        request.refused_faults.extend(_event_faults(unparsable.faults))
        with contextlib.suppress(Unparsable):
            request.dry_run = asks_dry_run(caller.headers.get("headgate-dry-run", ""))
        try:
            answer = await self._client.ingest(request)
        except (ServiceUnavailable, RequestTooLarge):
            # The client's own fault stands whoever it is, and a retry would not mend it.
            return None
        unavailable = answer.refusal.cause == outcome_pb2.CAUSE_UNAVAILABLE
        return None if unavailable else answer

    def _undecodable(self, caller: _Caller, fault: BodyFault) -> Unparsable:
        # The dialect finds the credential and whether its absence comes first; the reason is ours.
        try:
            self.dialect.parse(Inbound(caller.headers, b"", self.route.path, caller.method, caller.query))
        except Unparsable as unparsable:
            if unparsable.cause is Rejection.NOT_JSON:
                unparsable.faults = (Fault(None, "body", fault.message),)
            return unparsable
        return Unparsable(Rejection.NOT_JSON, (Fault(None, "body", fault.message),))

    def broken(self, defect: Exception) -> Reply:
        """Answer *not confirmed* where the gateway or the dialect itself failed, and log where."""
        # Where, not what: messages of exceptions quote values, and values are the clients'.
        places = [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(defect.__traceback__)
        ]
        structlog.get_logger().error(
            "a request met a defect", dialect=self.name, error=type(defect).__name__, places=places
        )
        try:
            return self._refused(NOT_CONFIRMED, outcome_pb2.LimitState())
        except Exception:  # noqa: BLE001 - a plugin that cannot even word a refusal: the client hears the same of it
            headers = {"Retry-After": retry_after(NOT_CONFIRMED.retry_after)}
            return Reply(Answer(503, {"error": "Service unavailable"}), headers)


def _event_faults(faults: Sequence[Fault]) -> list[outcome_pb2.EventFault]:
    return [
        outcome_pb2.EventFault(index=fault.index, field=fault.field, message=fault.message)
        for fault in faults[:_SAMPLE_FAULTS]
    ]


def _idempotency_key(value: str) -> str:
    if not _VISIBLE_ASCII.fullmatch(value):
        raise Unparsable(
            Rejection.INVALID, (Fault(None, "Idempotency-Key", "must be 1 to 255 visible ASCII characters"),)
        )
    return value


def _with_credential_of(parsed: Parsed, unparsable: Unparsable) -> Unparsable:
    unparsable.credential = parsed.credential or None
    unparsable.project = parsed.project
    unparsable.refused = len(parsed.events) + parsed.refused
    return unparsable
