"""The ways of a funnel whose order is `strict` or `any`, in SQL.

Each user's events become two arrays, `times`, sorted, and `masks`, with a bit for each step that an event is; both end
with a place that stands for never and for every step. Of every place it is carried backwards through the arrays what
comes strictly later, so that the work grows with the number of events.
"""

from collections.abc import Sequence

# Later than every event; small enough to be a time with its step.
NEVER = 2**55
_NEVER = f"toInt64({NEVER})"


def masked(items: str, steps: int) -> str:
    """Columns `times` and `masks` of `items`, an array of pairs of the two in order."""
    return (
        f"arrayPushBack({items}.1, {_NEVER}) AS times, arrayPushBack({items}.2, toUInt16({(1 << steps) - 1})) AS masks"
    )


def any_entries(steps: int) -> str:
    """The entries, each with the times at which the first two steps were taken, the first three, and so on."""
    names = [f"a{step}" for step in range(2, steps + 1)]
    whens = [f"greatest({', '.join(names[: count + 1])})" if count else names[0] for count in range(len(names))]
    ways = f"({', '.join(whens)})" if len(whens) > 1 else whens[0]
    arrays = ", ".join(_after(step) for step in range(2, steps + 1))
    return _entries(f"arrayMap(({', '.join(names)}) -> {ways}, {arrays})" if steps > 2 else _after(2))


def strict_entries(steps: int) -> str:
    """The entries, each with the first of the second step, of the third after that, and so on: never, from where an
    event of another step lies between."""
    ways = _after(steps)
    for step in range(steps - 1, 0, -1):
        ways = _unbroken(step, ways, steps)
        if step > 1:
            length = steps - step
            flat = ", ".join(f"next.{index}" for index in range(1, length + 1)) if length > 1 else "next"
            ways = _carried(f"arrayMap((at, next) -> (at, {flat}), times, {ways})", step, _nevers(length + 1))
    return _entries(ways)


def _entries(nexts: str) -> str:
    return f"arrayFilter((entry, mask) -> bitTest(mask, 0) AND entry.1 < {NEVER}, arrayZip(times, {nexts}), masks)"


def _unbroken(step: int, ways: str, steps: int) -> str:
    """Of each place as one of `step` the way from there: never where it is broken."""
    others = [_after(other) for other in range(1, steps + 1) if other not in (step, step + 1)]
    if not others:
        return ways
    length = steps - step
    names: Sequence[str] = [f"o{number}" for number in range(len(others))]
    first = "next.1" if length > 1 else "next"
    breaks = f"least({', '.join(names)})" if len(names) > 1 else names[0]
    kept = f"if({breaks} < {first}, {_nevers(length)}, next)"
    return f"arrayMap((next, {', '.join(names)}) -> {kept}, {ways}, {', '.join(others)})"


def _after(step: int) -> str:
    """Of each place the time of the first event of the step that is strictly later."""
    return _carried("times", step, _NEVER)


def _carried(values: str, step: int, never: str) -> str:
    """Of each place the value of the first place of the step that is strictly later."""
    here = f"arrayReverseFill((value, mask) -> bitTest(mask, {step - 1}), {values}, masks)"
    following = f"arrayShiftLeft({here}, 1, {never})"
    # Of places of the same time, the last one's.
    return f"arrayReverseFill((value, at, next) -> at != next, {following}, times, arrayShiftLeft(times, 1, {_NEVER}))"


def _nevers(length: int) -> str:
    return f"({', '.join([_NEVER] * length)})" if length > 1 else _NEVER
