"""What the sender of a request hears: a result for each event, and the receipt."""

from collections.abc import Sequence
from hashlib import blake2b

import msgspec
from headgate.v1 import event_pb2, outcome_pb2
from headgate.v1.ingest_service_pb2 import IngestEventsResponse

from headgate_service.ingest.refusal import Refused
from headgate_service.log.append import LogProject, Verdict
from headgate_service.log.reader import Completion, MadeIds, made_event_id, write_timestamp
from headgate_service.model.api import Api
from headgate_service.model.receipt import Receipt, runs
from headgate_service.policy.decision import Decision


class IngestAnswer(msgspec.Struct, frozen=True):
    """The answer to a request that the policy decided on, and of the log that took what was kept."""

    events: Sequence[event_pb2.Event]
    decision: Decision
    project: LogProject
    verdict: Verdict

    def add_results(self, response: IngestEventsResponse, *, each: bool, dry_run: bool) -> None:
        """A result per event where `each` asks for them, else per event of which there is something to say."""
        if each:
            self._add_kept(response, dry_run=dry_run)
        if self.decision.refused:
            add_refusals(response, self.events, self.decision)
        for place, reason in self.decision.dropped.items():
            result = response.results.add(index=place, outcome=outcome_pb2.OUTCOME_DROPPED, reason=reason)
            result.event_id = self.events[place].event_id
            if each and not dry_run and not result.event_id:
                # No other event that was stored or dropped bears it, and a repeat of the request gets it again.
                result.event_id = made_event_id(self.project.id, self.verdict.ms, f"dropped/{self._told(place)}")
        if each:
            if self.decision.dropped or self.decision.refused:
                response.results.sort(key=lambda result: result.index)
            for place, warnings in self.decision.warnings.items():
                response.results[place].warnings.extend(warnings)
            return
        for place, warnings in self.decision.warnings.items():
            response.results.add(index=place, outcome=outcome_pb2.OUTCOME_ACCEPTED, warnings=warnings)

    def _add_kept(self, response: IngestEventsResponse, *, dry_run: bool) -> None:
        events, duplicates, ms = self.events, self.verdict.duplicates, self.verdict.ms
        made = MadeIds(self.project.id, ms)
        add = response.results.add
        for rank, (place, ordinal) in enumerate(zip(self.decision.kept, self._ordinals(), strict=True)):
            first = duplicates.get(rank)
            result = add()
            result.index = place
            result.outcome = outcome_pb2.OUTCOME_DUPLICATE if first else outcome_pb2.OUTCOME_ACCEPTED
            event_id = events[place].event_id
            if dry_run:
                result.event_id = event_id
                continue
            result.event_id = event_id or made.of(ordinal)
            write_timestamp(result.receive_time, first.ms if first else ms)

    def _told(self, place: int) -> str:
        event = self.events[place].SerializeToString(deterministic=True)
        return f"{place}/{blake2b(event, digest_size=16).hexdigest()}"

    def _ordinals(self) -> list[int]:
        """The place of each kept event among the project's accepted ones: its own, or that of the first of its id."""
        ordinals: list[int] = []
        fresh = self.verdict.base
        for rank in range(len(self.decision.kept)):
            first = self.verdict.duplicates.get(rank)
            if first is None:
                fresh += 1
            ordinals.append(first.ordinal if first else fresh)
        return ordinals

    def as_stored(self, api: Api) -> list[event_pb2.Event]:
        """The events that would be stored. One without an id of its own shows none: it is made when it is stored."""
        stored: list[event_pb2.Event] = []
        for rank, place in enumerate(self.decision.kept):
            if rank in self.verdict.duplicates:
                continue
            event = self.events[place]
            own_id = event.event_id
            Completion(self.project.id, api.dialect, self.verdict.ms, api.dialect_name).complete(event, 0)
            event.event_id = own_id
            stored.append(event)
        return stored

    def receipt(self, refused: int) -> Receipt:
        """The receipt; `refused` events stood beside those that were decided on."""
        verdict, duplicates = self.verdict, self.verdict.duplicates
        ms = verdict.ms
        ranges: tuple[tuple[int, int], ...] = ((verdict.base, verdict.base + verdict.fresh),)
        if not verdict.fresh:
            ms = min((first.ms for first in duplicates.values()), default=ms)
            ranges = runs(first.ordinal for first in duplicates.values())
        return Receipt(
            self.project.id,
            self.project.shard,
            ms,
            len(self.events) + refused,
            verdict.fresh,
            len(duplicates),
            refused + len(self.decision.refused),
            ranges,
            len(self.decision.dropped),
        )


def add_refusals(response: IngestEventsResponse, events: Sequence[event_pb2.Event], decision: Decision) -> None:
    """The results of the events that the policy refused."""
    for place, refused in decision.refused.items():
        response.results.add(
            index=place,
            outcome=outcome_pb2.OUTCOME_REFUSED,
            reason=refused.reason,
            event_id=events[place].event_id,
            field=refused.field,
            message=refused.message,
        )


def unfit_request(decision: Decision) -> Refused:
    """The refusal of a request that is all or nothing, with what is wrong with each event that is refused."""
    return Refused.because(
        outcome_pb2.CAUSE_INVALID,
        f"{len(decision.refused)} of {decision.events} events do not fit their schema; the request is all or nothing",
        faults=[
            outcome_pb2.EventFault(index=place, field=one.field, message=one.message)
            for place, one in decision.refused.items()
        ],
        event_reason=outcome_pb2.REASON_SCHEMA,
    )
