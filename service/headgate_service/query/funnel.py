"""The steps that users go through."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from headgate_service.errors import invalid
from headgate_service.query.filter import EVERYTHING, Condition, parse_condition
from headgate_service.query.request_fields import Fields, integer, one_of, text
from headgate_service.query.time import Clock

MIN_STEPS, MAX_STEPS = 2, 10
MAX_WINDOW_DAYS = 366
_DAY = 24 * 3600
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": _DAY, "week": 7 * _DAY}
ANY_EVENT = "*"

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


def parse_funnel(fields: Fields, clock: Clock) -> Funnel:
    """Raises QueryInvalid."""
    steps = tuple(_steps(fields.required("steps"), fields.path("steps"), clock))
    window = _window(fields.optional("window"), fields.path("window"))
    order = fields.optional("order")
    if order not in (None, "ordered"):
        raise invalid(fields.path("order"), "must be ordered, the only order so far")
    count_by = fields.optional("countBy")
    if count_by is None:
        return Funnel(steps, window)
    return Funnel(steps, window, one_of(count_by, fields.path("countBy"), COUNTED))


def _steps(value: object, path: str, clock: Clock) -> Iterator[Step]:
    if not isinstance(value, list) or not MIN_STEPS <= len(value) <= MAX_STEPS:
        raise invalid(path, f"must be a list of {MIN_STEPS} to {MAX_STEPS} steps")
    seen: dict[str, int] = {}
    for index, item in enumerate(value):
        fields = Fields(item, f"{path}[{index}]")
        event = fields.text("event")
        condition = parse_condition(fields.optional("filter"), fields.path("filter"), clock)
        name = fields.optional("name")
        if name is not None:
            text(name, fields.path("name"), 200)
        fields.done()
        # By what they say: Python takes true for 1.
        first = seen.setdefault(repr((event, condition)), index)
        if first != index:
            raise invalid(f"{path}[{index}]", f"is the same step as {path}[{first}]", "duplicate_step")
        yield Step(event, condition, name)


def _window(value: object, path: str) -> Window:
    if value is None:
        return WEEK
    fields = Fields(value, path)
    unit = one_of(fields.required("unit"), fields.path("unit"), tuple(_UNITS))
    most = MAX_WINDOW_DAYS * _DAY // _UNITS[unit]
    window = Window(integer(fields.required("value"), fields.path("value"), 1, most), unit)
    fields.done()
    return window
