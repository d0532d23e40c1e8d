"""The way of a request: authenticate, decide, append, answer."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from hashlib import blake2b

import msgspec
import orjson
from headgate.v1 import event_pb2, log_pb2, outcome_pb2
from headgate.v1.ingest_service_pb2 import ExperimentsWanted, GatheredAnswer

from headgate_service.config import RateLimits
from headgate_service.errors import CountersLost, LogUnavailable
from headgate_service.ingest.answer import IngestAnswer, add_refusals, unfit_request
from headgate_service.ingest.authentication import Authentication, Caller
from headgate_service.ingest.limits import RETRY_FULL, refuse, tell_limits
from headgate_service.ingest.refusal import Refused
from headgate_service.ingest.refusal_ledger import RefusalLedger
from headgate_service.ingest.refused_requests import MAX_FAULTS, RefusedRequests
from headgate_service.ingest.sessions import Known
from headgate_service.log.append import (
    Append,
    Appender,
    Idempotency,
    LogProject,
    Rate,
)
from headgate_service.log.entry import encode_entry
from headgate_service.log.reader import write_timestamp
from headgate_service.model.api import Api
from headgate_service.model.event_rules import complete_user
from headgate_service.model.principal import PrincipalKind
from headgate_service.model.receipt import ReceiptMaker
from headgate_service.policy.decision import Decision, judge, reason_name
from headgate_service.policy.policy import Policy


def enrich(events: Sequence[event_pb2.Event], known: Known, project_id: str) -> None:
    """Adds `user_id`, and the properties `role` and `tenant`, each to the events that lack it.

    The role is a person's in the project, the tenant their organisation's id; a JWT's are what its claims of these
    names say.
    """
    principal = known.principal
    if principal.kind is PrincipalKind.JWT:
        user_id, role = principal.subject, principal.claimed_role
    else:
        user_id, role = principal.user_id or "", str(known.roles.get(project_id, ""))
    added = {name: value for name, value in (("role", role), ("tenant", principal.organisation_id)) if value}
    for event in events:
        if not event.user_id:
            event.user_id = user_id
        if added:
            properties = orjson.loads(event.properties_json) if event.properties_json else {}
            if added.keys() - properties.keys():
                event.properties_json = orjson.dumps({**added, **properties})


_RETRY_LOG = timedelta(seconds=1)


class Submission(msgspec.Struct, frozen=True):
    """A request whose events, those of `entry`, are acceptable, each by its API's rules. They are changed on their way.

    `refused` events stood beside them and were not, for `refused_reason`. `request_hash` is SHA-256 of what a repeat
    under `idempotency_key` must equal. `each` asks for a result per event, else only what the project's policy says of
    some is told. `all_or_nothing`: where the policy refuses one event, it refuses the request. `experiments` asks for
    some of the project's. `faults` and `sample` tell what was wrong with the refused events, and how what was sent
    began: for people, who see it for a day.
    """

    api: Api
    entry: log_pb2.LogEntry
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
    all_or_nothing: bool = False
    experiments: ExperimentsWanted | None = None
    faults: Sequence[outcome_pb2.EventFault] = ()
    sample: bytes = b""

    @property
    def events(self) -> Sequence[event_pb2.Event]:
        return self.entry.events


class Ingest:
    """Takes requests in. `reached` names the sinks that some of a project's events would reach."""

    def __init__(
        self,
        entrance: Authentication,
        appender: Appender,
        receipts: ReceiptMaker,
        refusals: RefusalLedger,
        limits: RateLimits,
        reached: Callable[[str, Sequence[event_pb2.Event]], Awaitable[Sequence[str]]],
        kept: RefusedRequests | None = None,
    ) -> None:
        self._entrance = entrance
        self._appender = appender
        self._receipts = receipts
        self._refusals = refusals
        self._limits = limits
        self._reached = reached
        self._kept = kept

    async def admit(self, api: Api, credential: str, project: str) -> str:
        """Who sends, as limits tell senders apart. Raises Refused where the caller may send nothing at all."""
        caller = await self._entrance.enter(api, credential, project, "")
        return caller.sender

    async def take(self, submission: Submission) -> GatheredAnswer:
        """The answer, with a `response`. Raises Refused. What it calls accepted is durable and counted."""
        caller = await self._entrance.enter(
            submission.api, submission.credential, submission.project, submission.origin
        )
        if caller.beside is not None:
            enrich(submission.events, caller.beside, caller.project.id)
        if (policy := caller.project.policy) is not None:
            self._check(policy, submission, caller)
        if not submission.entry.events and not submission.idempotency_key:
            self._count_beside(submission, caller)
            return GatheredAnswer(response={}, experiments_json=_experiments(submission, policy))
        try:
            answer = await self._append(submission, caller)
        except Refused as refused:
            why = reason_name(refused.event_reason) if refused.event_reason else refused.reason
            self._count_refused(submission, caller, why, len(submission.events) + submission.refused, refused.refusal)
            raise
        if submission.refused and not answer.response.replayed:
            self._count_beside(submission, caller)
        return answer

    def _count_beside(self, submission: Submission, caller: Caller) -> None:
        self._count_refused(submission, caller, reason_name(submission.refused_reason), submission.refused)

    def _count_refused(
        self,
        submission: Submission,
        caller: Caller,
        reason: str,
        events: int,
        refusal: outcome_pb2.Refusal | None = None,
    ) -> None:
        if submission.dry_run or not (events or submission.faults):
            return
        if events:
            self._refusals.count(caller.project.id, caller.project.shard, reason, events)
        if self._kept is not None:
            self._kept.note(
                caller.project,
                submission.api.shown,
                reason,
                events,
                message=refusal.message if refusal is not None else "",
                faults=refusal.faults if refusal is not None and refusal.faults else submission.faults,
                sample=submission.sample,
                refused=submission.events,
            )

    def _note_unfit(self, submission: Submission, caller: Caller, decision: Decision) -> None:
        """Notes the events that the policy refused of a request."""
        if self._kept is None or submission.dry_run or not decision.refused:
            return
        places = sorted(decision.refused)
        first = decision.refused[places[0]]
        self._kept.note(
            caller.project,
            submission.api.shown,
            reason_name(first.reason),
            len(places),
            faults=[
                outcome_pb2.EventFault(
                    index=place, field=decision.refused[place].field, message=decision.refused[place].message
                )
                for place in places[:MAX_FAULTS]
            ],
            refused=[submission.events[places[0]]],
        )

    def _check(self, policy: Policy, submission: Submission, caller: Caller) -> None:
        if not policy.readable:
            raise Refused.because(
                outcome_pb2.CAUSE_UNAVAILABLE, "not confirmed: the project's config cannot be read", RETRY_FULL
            )
        if not submission.origin or policy.allows(submission.origin):
            return
        refused = Refused.because(outcome_pb2.CAUSE_ORIGIN_FORBIDDEN, "the project does not allow this origin")
        self._count_refused(
            submission, caller, refused.reason, len(submission.events) + submission.refused, refused.refusal
        )
        raise refused

    async def _append(self, submission: Submission, caller: Caller) -> GatheredAnswer:
        policy, events = caller.project.policy, submission.entry.events
        submission.entry.dialect = submission.api.dialect
        submission.entry.dialect_name = submission.api.dialect_name
        decision = Decision(len(events)) if policy is None else await judge(policy, events, submission.origin)
        unfit = bool(decision.refused) and (submission.all_or_nothing or decision.nothing_taken)
        if unfit and (submission.dry_run or not submission.idempotency_key):
            return self._unfit(submission, caller, decision)
        if submission.api.internal or caller.beside is not None:
            # For the other requests the gateway has done it.
            for event in events:
                complete_user(event)
        if caller.marks_test:
            for event in events:
                event.test = True
        project = LogProject(caller.project.id, caller.project.shard, caller.project.monthly_limit)
        rate = self._rate(submission, caller)
        append = _make_append(submission, caller, decision, rate, unfit=unfit)
        try:
            verdict = await self._appender.append(project, append)
        except CountersLost as error:
            raise Refused.because(
                outcome_pb2.CAUSE_UNAVAILABLE,
                "not accepted: usage counters are being restored, retry with the same idempotency key or event ids",
                _RETRY_LOG,
            ) from error
        except LogUnavailable as error:
            raise Refused.because(
                outcome_pb2.CAUSE_UNAVAILABLE,
                "not confirmed: the log does not answer, retry with the same idempotency key or event ids",
                _RETRY_LOG,
            ) from error
        if (refused := refuse(verdict, rate, project)) is not None:
            raise refused
        if verdict.status == "replay":
            decision = Decision.of_note(verdict.note, len(events))
        elif unfit:
            return self._unfit(submission, caller, decision)
        elif decision.refused:
            self._note_unfit(submission, caller, decision)
        answer = IngestAnswer(events, decision, project, verdict)
        return await self._answer(submission, caller, answer, rate)

    async def _answer(
        self, submission: Submission, caller: Caller, ingested: IngestAnswer, rate: Rate | None
    ) -> GatheredAnswer:
        verdict, project = ingested.verdict, ingested.project
        answer = GatheredAnswer()
        response = answer.response
        response.replayed, response.warned = verdict.status == "replay", ingested.decision.warned
        if rate is not None or project.monthly_limit is not None:
            tell_limits(response.limits, verdict, rate, project.monthly_limit)
        ingested.add_results(response, each=submission.each, dry_run=submission.dry_run)
        if submission.dry_run:
            stored = ingested.as_stored(submission.api)
            answer.dry_run_events.extend(stored)
            if caller.sees_sinks:
                answer.dry_run_sinks.extend(await self._reached(project.id, stored))
        elif submission.entry.events:
            receipt = ingested.receipt(submission.refused)
            response.receipt = self._receipts.make(receipt)
            if receipt.ranges:
                write_timestamp(response.receive_time, receipt.ms)
        return answer

    def _unfit(self, submission: Submission, caller: Caller, decision: Decision) -> GatheredAnswer:
        """The answer to a request of which the policy takes nothing: it is not a success, and not remembered as one."""
        if submission.all_or_nothing:
            raise unfit_request(decision)
        if not submission.dry_run:
            for counted, events in decision.counts.items():
                reason = counted.removeprefix("refused:")
                self._refusals.count(caller.project.id, caller.project.shard, reason, events)
            self._note_unfit(submission, caller, decision)
        answer = GatheredAnswer(response={})
        add_refusals(answer.response, submission.events, decision)
        return answer

    def _rate(self, submission: Submission, caller: Caller) -> Rate | None:
        limit = self._limits.of(submission.api, caller.project.rate_limit)
        if limit is None:
            return None
        who = caller.sender
        if not who:
            who = f"address:{blake2b(submission.client_address.encode(), digest_size=16).hexdigest()}"
        # A plan that sets another window is obeyed at once, not when the old window has ended.
        return Rate(f"{who}:{limit.window_ms}", limit.requests, limit.window_ms)


def _make_append(
    submission: Submission, caller: Caller, decision: Decision, rate: Rate | None, *, unfit: bool
) -> Append:
    """What the log is asked to do. With `unfit`, or without events, it only looks for an earlier answer."""
    entry = submission.entry
    if unfit or decision.dropped or decision.refused:
        kept = [] if unfit else [submission.events[index] for index in decision.kept]
        entry = log_pb2.LogEntry(dialect=submission.api.dialect, dialect_name=submission.api.dialect_name, events=kept)
    only_asks = not submission.dry_run and (unfit or not submission.entry.events)
    return Append(
        encode_entry(entry),
        _event_ids(entry) if submission.api.event_ids else {},
        _idempotency(submission, caller) if submission.idempotency_key else None,
        rate,
        # The first answer stands even if the policy has changed since. Neither a new refusal nor the answer to a
        # request without events is remembered.
        submission.dry_run or only_asks,
        decision.counts,
        decision.note if submission.idempotency_key else b"",
        asks_replay=only_asks,
    )


def _event_ids(entry: log_pb2.LogEntry) -> dict[int, str]:
    return {index: event_id for index, event in enumerate(entry.events) if (event_id := event.event_id)}


def _experiments(submission: Submission, policy: Policy | None) -> bytes:
    wanted = submission.experiments
    if wanted is None or policy is None:
        return b""
    return orjson.dumps(policy.experiments(frozenset(wanted.ids), test=wanted.test))


def _idempotency(submission: Submission, caller: Caller) -> Idempotency:
    """The key, made unique to credential and route; a project's keys are apart in any case."""
    scoped = f"{caller.sender}\n{submission.api.scope}\n{submission.idempotency_key}"
    return Idempotency(blake2b(scoped.encode(), digest_size=16).hexdigest(), submission.request_hash)
