"""The way of a request: enter, complete, append, answer."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from hashlib import blake2b

import msgspec
from headgate.v1 import event_pb2, outcome_pb2
from headgate.v1.ingest_service_pb2 import IngestEventsResponse

from headgate_service.entrance import Caller, Entrance
from headgate_service.event_rules import complete_user
from headgate_service.limits import RateLimits, limit_state, until_next_month, until_next_window
from headgate_service.log.append import Append, Appender, Idempotency, LogProject, LogUnavailable, Rate, Verdict
from headgate_service.log.entry import encode
from headgate_service.log.reader import made_event_id, materialise, timestamp
from headgate_service.receipt import Receipt, ReceiptMaker, runs
from headgate_service.refusal_ledger import RefusalLedger
from headgate_service.refused import Refused

_RETRY_LOG = timedelta(seconds=1)
_RETRY_FULL = timedelta(seconds=10)


class Submission(msgspec.Struct, frozen=True):
    """A request whose events are acceptable, each by its API's rules.

    `refused` events stood beside them and were not, for `refused_reason`. `request_hash` is SHA-256 of what a repeat
    under `idempotency_key` must equal. `each` asks for a result per event.
    """

    dialect: event_pb2.Dialect
    events: Sequence[event_pb2.Event]
    credential: str
    project: str = ""
    origin: str = ""
    client_address: str = ""
    idempotency_key: str = ""
    request_hash: bytes = b""
    dry_run: bool = False
    refused: int = 0
    refused_reason: outcome_pb2.Reason = outcome_pb2.REASON_UNSPECIFIED
    each: bool = False


class Taken(msgspec.Struct, frozen=True):
    """A request that was taken. `events` and `sinks` are for a dry run: what would be stored, and whom it would reach;
    the sinks only for callers who may see them."""

    response: IngestEventsResponse
    events: Sequence[event_pb2.Event] = ()
    sinks: Sequence[str] = ()


class Ingest:
    """Takes requests in. `reached` names the sinks that some of a project's events would reach."""

    def __init__(
        self,
        entrance: Entrance,
        appender: Appender,
        receipts: ReceiptMaker,
        refusals: RefusalLedger,
        limits: RateLimits,
        reached: Callable[[str, Sequence[event_pb2.Event]], Sequence[str]],
    ) -> None:
        self._entrance = entrance
        self._appender = appender
        self._receipts = receipts
        self._refusals = refusals
        self._limits = limits
        self._reached = reached

    async def take(self, submission: Submission) -> Taken:
        """Raises Refused. An answer means that what it calls accepted is durable and counted."""
        caller = await self._entrance.enter(
            submission.dialect, submission.credential, submission.project, submission.origin
        )
        reason = outcome_pb2.Reason.Name(submission.refused_reason).removeprefix("REASON_")
        if not submission.events and not submission.idempotency_key:
            self._count_refused(submission, caller, reason, submission.refused)
            return Taken(IngestEventsResponse())
        try:
            taken = await self._append(submission, caller)
        except Refused as refused:
            self._count_refused(submission, caller, refused.reason, len(submission.events) + submission.refused)
            raise
        if not taken.response.replayed:
            self._count_refused(submission, caller, reason, submission.refused)
        return taken

    def _count_refused(self, submission: Submission, caller: Caller, reason: str, events: int) -> None:
        if events and not submission.dry_run:
            self._refusals.count(caller.project.id, caller.project.shard, reason, events)

    async def _append(self, submission: Submission, caller: Caller) -> Taken:
        marks_test = caller.marks_test
        event_ids: dict[int, str] = {}
        for index, event in enumerate(submission.events):
            complete_user(event)
            if marks_test:
                event.test = True
            if event_id := event.event_id:
                event_ids[index] = event_id
        project = LogProject(caller.project.id, caller.project.shard, caller.project.monthly_limit)
        rate = self._rate(submission, caller)
        append = Append(
            encode(submission.dialect, submission.events),
            event_ids,
            _idempotency(submission, caller),
            rate,
            submission.dry_run,
        )
        try:
            verdict = await self._appender.append(project, append)
        except LogUnavailable as error:
            raise Refused.because(
                outcome_pb2.CAUSE_UNAVAILABLE,
                "not confirmed, as the log does not answer: retry with the same idempotency key or event ids",
                _RETRY_LOG,
            ) from error
        limits = limit_state(verdict, rate, project.monthly_limit)
        if (refused := _refused(verdict, rate, project)) is not None:
            refused.limits = limits
            raise refused
        response = IngestEventsResponse(limits=limits, replayed=verdict.status == "replay")
        if submission.each:
            _add_results(response, submission, project, verdict)
        if submission.dry_run:
            events = _as_stored(submission, project, verdict)
            return Taken(response, events, self._reached(project.id, events) if caller.sees_sinks else ())
        if not submission.events:
            # Nothing is stored but that its key was used.
            return Taken(response)
        receipt = _receipt(submission, project, verdict)
        response.receipt = self._receipts.make(receipt)
        response.receive_time.CopyFrom(timestamp(receipt.ms))
        return Taken(response)

    def _rate(self, submission: Submission, caller: Caller) -> Rate | None:
        limit = self._limits.of(submission.dialect, caller.project.rate_limit)
        if limit is None:
            return None
        if caller.credential is not None:
            who = caller.credential.id
        else:
            who = f"address:{blake2b(submission.client_address.encode(), digest_size=16).hexdigest()}"
        # A plan that sets another window is obeyed at once, not when the old window has ended.
        return Rate(f"{who}:{limit.window_ms}", limit.requests, limit.window_ms)


def _idempotency(submission: Submission, caller: Caller) -> Idempotency | None:
    """The key, made unique to credential and route; a project's keys are apart in any case."""
    if not submission.idempotency_key:
        return None
    credential = caller.credential.id if caller.credential else ""
    scoped = f"{credential}\n{submission.dialect}\n{submission.idempotency_key}"
    return Idempotency(blake2b(scoped.encode(), digest_size=16).hexdigest(), submission.request_hash)


def _refused(verdict: Verdict, rate: Rate | None, project: LogProject) -> Refused | None:
    match verdict.status:
        case "mismatch":
            return Refused.because(
                outcome_pb2.CAUSE_IDEMPOTENCY_MISMATCH,
                "this idempotency key was used within 24 hours for another request: use a new key",
            )
        case "full":
            return Refused.because(
                outcome_pb2.CAUSE_UNAVAILABLE,
                "the log is full, as a sink that must not lose events is behind: retry later",
                _RETRY_FULL,
            )
        case "rate":
            assert rate is not None  # noqa: S101 - the script refuses by a limit only where one was given
            refused = Refused.because(
                outcome_pb2.CAUSE_RATE_LIMITED,
                f"over {rate.limit} requests in {rate.window_ms // 1000} s: retry when the window begins anew",
                until_next_window(verdict),
            )
            refused.refusal.limit, refused.refusal.used = rate.limit, verdict.rate_used
        case "quota":
            assert project.monthly_limit is not None  # noqa: S101 - as above
            refused = Refused.because(
                outcome_pb2.CAUSE_QUOTA_EXCEEDED,
                f"the month's limit of {project.monthly_limit} events has no room for {verdict.fresh} more: "
                "none was counted",
                until_next_month(verdict),
            )
            refused.refusal.limit, refused.refusal.used = project.monthly_limit, verdict.month_used
        case _:
            return None
    return refused


def _ordinals(submission: Submission, verdict: Verdict) -> list[int]:
    """The place of each event among the project's accepted ones: its own, or that of the first of its id."""
    ordinals: list[int] = []
    fresh = verdict.base
    for index in range(len(submission.events)):
        first = verdict.duplicates.get(index)
        if first is None:
            fresh += 1
        ordinals.append(first.ordinal if first else fresh)
    return ordinals


def _add_results(response: IngestEventsResponse, submission: Submission, project: LogProject, verdict: Verdict) -> None:
    for index, ordinal in enumerate(_ordinals(submission, verdict)):
        first = verdict.duplicates.get(index)
        result = response.results.add()
        result.index = index
        result.outcome = outcome_pb2.OUTCOME_DUPLICATE if first else outcome_pb2.OUTCOME_ACCEPTED
        result.event_id = submission.events[index].event_id
        if submission.dry_run:
            continue
        if not result.event_id:
            result.event_id = made_event_id(project.id, verdict.ms, ordinal)
        result.receive_time.CopyFrom(timestamp(first.ms if first else verdict.ms))


def _as_stored(submission: Submission, project: LogProject, verdict: Verdict) -> list[event_pb2.Event]:
    """The events that would be stored. One without an id of its own shows none: it is made when it is stored."""
    stored: list[event_pb2.Event] = []
    for index, event in enumerate(submission.events):
        if index in verdict.duplicates:
            continue
        own_id = event.event_id
        materialise(event, project.id, submission.dialect, verdict.ms, 0)
        event.event_id = own_id
        stored.append(event)
    return stored


def _receipt(submission: Submission, project: LogProject, verdict: Verdict) -> Receipt:
    duplicates = verdict.duplicates
    ms = verdict.ms if verdict.fresh else min(first.ms for first in duplicates.values())
    ranges: tuple[tuple[int, int], ...] = ((verdict.base, verdict.base + verdict.fresh),)
    if not verdict.fresh:
        ranges = runs(first.ordinal for first in duplicates.values())
    return Receipt(
        project.id,
        project.shard,
        ms,
        len(submission.events) + submission.refused,
        verdict.fresh,
        len(duplicates),
        submission.refused,
        ranges,
    )
