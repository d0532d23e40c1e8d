"""What a sink is given to write."""

from collections.abc import Sequence
from dataclasses import dataclass

from headgate.v1 import event_pb2


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one shard, promised under one id: a resend of `id` holds the same events in the same order.

    `epoch`, `shard` and `number` name the same promise in parts: within one epoch and shard, a sink's batches come one
    after another with rising numbers, and a number that was reported as written never comes back with other content.
    `seal_time_ms` is when the batch was promised, in milliseconds since 1970; it stays over resends too, while
    `attempt` counts the writes since this process took the batch up, from 1. `id` has at most 100 characters, all of
    them safe in a header, and holds nothing personal.

    The events are shared between sinks: do not change them.
    """

    id: str
    epoch: str
    shard: int
    number: int
    seal_time_ms: int
    events: Sequence[event_pb2.Event]
    attempt: int = 1
