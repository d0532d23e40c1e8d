"""The steps that users go through."""

from dataclasses import dataclass
from typing import Literal

from headgate_service.errors import invalid
from headgate_service.query.filter import EVERYTHING, Condition, parse_condition
from headgate_service.query.request_fields import Faults, Fields, integer, one_of, text
from headgate_service.query.time import Clock

MIN_STEPS, MAX_STEPS = 2, 10
MAX_WINDOW_DAYS = 366
_DAY = 24 * 3600
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": _DAY, "week": 7 * _DAY}
ANY_EVENT = "*"

Order = Literal["ordered", "strict", "any"]
ORDERS: tuple[Order, ...] = ("ordered", "strict", "any")
CountBy = Literal["user", "session"]
COUNTED: tuple[CountBy, ...] = ("user", "session")


@dataclass(frozen=True, slots=True)
class Step:
    event: str
    condition: Condition = EVERYTHING
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """How long the whole way may take from its first step, as it was asked."""

    value: int
    unit: str

    @property
    def ms(self) -> int:
        return self.value * _UNITS[self.unit] * 1000


WEEK = Window(7, "day")


@dataclass(frozen=True, slots=True)
class Funnel:
    steps: tuple[Step, ...]
    window: Window = WEEK
    count_by: CountBy = "user"
    order: Order = "ordered"


def parse_funnel(fields: Fields, clock: Clock) -> Funnel:
    """Raises QueryInvalid."""
    faults = Faults()
    with faults:
        steps = _steps(fields.required("steps"), fields.path("steps"), clock)
    with faults:
        window = parse_window(fields.optional("window"), fields.path("window"))
    with faults:
        order = one_of(fields.optional("order") or "ordered", fields.path("order"), ORDERS)
    with faults:
        count_by = parse_count_by(fields)
    faults.tell()
    return Funnel(steps, window, count_by, order)


def parse_count_by(fields: Fields) -> CountBy:
    """Who is counted. Raises QueryInvalid."""
    value = fields.optional("countBy")
    return "user" if value is None else one_of(value, fields.path("countBy"), COUNTED)


def _steps(value: object, path: str, clock: Clock) -> tuple[Step, ...]:
    if not isinstance(value, list) or not MIN_STEPS <= len(value) <= MAX_STEPS:
        raise invalid(path, f"must be a list of {MIN_STEPS} to {MAX_STEPS} steps")
    steps, faults = [], Faults()
    seen: dict[str, int] = {}
    for index, item in enumerate(value):
        with faults:
            step = parse_step(Fields(item, f"{path}[{index}]"), clock)
            # By what they say: Python takes true for 1.
            first = seen.setdefault(repr((step.event, step.condition)), index)
            if first != index:
                raise invalid(f"{path}[{index}]", f"is the same step as {path}[{first}]", "duplicate_step")
            steps.append(step)
    faults.tell()
    return tuple(steps)


def parse_step(fields: Fields, clock: Clock) -> Step:
    """Raises QueryInvalid."""
    faults = Faults()
    with faults:
        event = fields.text("event")
    with faults:
        condition = parse_condition(fields.optional("filter"), fields.path("filter"), clock)
    with faults:
        name = fields.optional("name")
        if name is not None:
            text(name, fields.path("name"), 200)
    with faults:
        fields.done()
    faults.tell()
    return Step(event, condition, name)


def parse_window(value: object, path: str) -> Window:
    """Raises QueryInvalid."""
    if value is None:
        return WEEK
    fields, faults = Fields(value, path), Faults()
    least = 1
    with faults:
        amount = fields.required("value")
        integer(amount, fields.path("value"), least, MAX_WINDOW_DAYS * _DAY)
    with faults:
        unit = one_of(fields.required("unit"), fields.path("unit"), tuple(_UNITS))
    with faults:
        fields.done()
    faults.tell()
    most = MAX_WINDOW_DAYS * _DAY // _UNITS[unit]
    return Window(integer(amount, fields.path("value"), least, most), unit)
