"""A request's events as its project's policy left them, and the note by which a repeat hears the same again."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import zstandard
from headgate.v1 import event_pb2, outcome_pb2

from headgate_service.policy.policy import Dropped, Policy, Refused

MAX_WARNED = 100
# How long the events of one request are judged before others get their turn.
TURN_SECONDS = 0.005
_MAX_NOTE_BYTES = 16 * 1024 * 1024

_pack = msgspec.msgpack.Encoder().encode


class Decision(msgspec.Struct, frozen=True):
    """What became of the events of a request, by their places in it, before the log is asked.

    `warnings` are of the first 100 of the `warned` events.
    """

    events: int
    dropped: Mapping[int, outcome_pb2.Reason] = {}
    refused: Mapping[int, Refused] = {}
    warnings: Mapping[int, Sequence[str]] = {}
    warned: int = 0

    @property
    def kept(self) -> Sequence[int]:
        """The places of the events that go on, in order."""
        if not self.dropped and not self.refused:
            return range(self.events)
        return [place for place in range(self.events) if place not in self.dropped and place not in self.refused]

    @property
    def nothing_taken(self) -> bool:
        """Whether every event was refused, none of them kept or dropped."""
        return bool(self.refused) and len(self.refused) == self.events

    @property
    def counts(self) -> dict[str, int]:
        """How many events the ledger counts under which name, such as `dropped:SAMPLED`."""
        if not (self.dropped or self.refused or self.warned):
            return {}
        counts: Counter[str] = Counter(f"dropped:{reason_name(reason)}" for reason in self.dropped.values())
        counts.update(f"refused:{reason_name(refused.reason)}" for refused in self.refused.values())
        if self.warned:
            counts[f"warned:{reason_name(outcome_pb2.REASON_SCHEMA)}"] = self.warned
        return dict(counts)

    @property
    def note(self) -> bytes:
        """All of it but the number of events, to be kept beside an idempotency key; empty where all is plainly kept."""
        if not (self.dropped or self.refused or self.warned):
            return b""
        refused = {place: (one.field, one.message, one.reason) for place, one in self.refused.items()}
        return zstandard.compress(_pack((dict(self.dropped), refused, dict(self.warnings), self.warned)), 1)

    @classmethod
    def of_note(cls, note: bytes, events: int) -> "Decision":
        """What was judged when the note was made, of a request of so many events."""
        if not note:
            return cls(events)
        packed = zstandard.ZstdDecompressor().decompress(note, max_output_size=_MAX_NOTE_BYTES)
        dropped, refused, warnings, warned = msgspec.msgpack.decode(packed)
        return cls(events, dropped, {place: Refused(*one) for place, one in refused.items()}, warnings, warned)


async def judge(policy: Policy, events: Sequence[event_pb2.Event], origin: str) -> Decision:
    """Judges the events of a request; those that are kept are changed in place. However long that takes, others'
    requests go on meanwhile."""
    turn_ends = time.monotonic() + TURN_SECONDS
    dropped: dict[int, outcome_pb2.Reason] = {}
    refused: dict[int, Refused] = {}
    warnings: dict[int, Sequence[str]] = {}
    warned = 0
    for place, event in enumerate(events):
        if place and time.monotonic() >= turn_ends:
            await asyncio.sleep(0)
            turn_ends = time.monotonic() + TURN_SECONDS
        judgement: Any = policy.judge(event, origin)
        if isinstance(judgement, Dropped):
            dropped[place] = judgement.reason
        elif isinstance(judgement, Refused):
            refused[place] = judgement
        elif judgement.warnings:
            warned += 1
            if warned <= MAX_WARNED:
                warnings[place] = judgement.warnings
    return Decision(len(events), dropped, refused, warnings, warned)


def reason_name(reason: outcome_pb2.Reason) -> str:
    """The reason as the ledger names it, such as SAMPLED."""
    return outcome_pb2.Reason.Name(reason).removeprefix("REASON_")
