"""The ways that users take: the events after one, or before one."""

from dataclasses import dataclass

from headgate_service.errors import invalid
from headgate_service.query.funnel import WEEK, CountBy, Step, Window, parse_count_by, parse_step, parse_window
from headgate_service.query.request_fields import Faults, Fields, integer
from headgate_service.query.time import Clock

DEFAULT_DEPTH, MAX_DEPTH = 5, 10
DEFAULT_NAMES, MAX_NAMES = 10, 100


@dataclass(frozen=True, slots=True)
class Paths:
    """From each user's first event that is `anchor` onwards, or, not `forward`, from the last one back: `depth` events,
    itself one of them, within `window` of it. Of each place the `names` most frequent events are told apart."""

    anchor: Step
    forward: bool
    depth: int = DEFAULT_DEPTH
    names: int = DEFAULT_NAMES
    window: Window = WEEK
    count_by: CountBy = "user"


def parse_paths(fields: Fields, clock: Clock) -> Paths:
    """Raises QueryInvalid."""
    faults = Faults()
    depth, names = DEFAULT_DEPTH, DEFAULT_NAMES
    with faults:
        forward = fields.has("start")
        if forward == fields.has("end"):
            raise invalid("start", "give either start or end")
        side = "start" if forward else "end"
        anchor = parse_step(Fields(fields.required(side), side), clock)
    with faults:
        if fields.has("depth"):
            depth = integer(fields.optional("depth"), "depth", 2, MAX_DEPTH)
    with faults:
        if fields.has("limit"):
            names = integer(fields.optional("limit"), "limit", 1, MAX_NAMES)
    with faults:
        window = parse_window(fields.optional("window"), "window")
    with faults:
        count_by = parse_count_by(fields)
    faults.tell()
    return Paths(anchor, forward, depth, names, window, count_by)
