"""Which users' events are kept where only a share of them is: the same ones each time, whoever asks."""

from hashlib import blake2b

from headgate.v1 import event_pb2

_WHOLE = 2**64


def kept(event: event_pb2.Event, project_id: str, rate: float) -> bool:
    """Whether an event is among the share `rate` (0 to 1) of its project, name and user.

    A user who is kept at one rate is kept at every higher one. An event without a user is told by its id, and one
    without an id by all it says.
    """
    who = event.distinct_id or event.event_id
    told = who.encode() if who else event.SerializeToString(deterministic=True)
    drawn = blake2b(b"%b\0%b\0%b" % (project_id.encode(), event.name.encode(), told), digest_size=8).digest()
    return int.from_bytes(drawn, "big") < rate * _WHOLE
