"""Made-up events and queries: few different values, so that they meet."""

import random
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from reference import Happened

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Pacific/Apia",
)
# Around changes of the clock, one in a zone each, and one quiet day.
AROUND = (
    "2026-03-29",
    "2026-10-25",
    "2026-11-01",
    "2026-04-05",
    "2018-11-04",
    "2010-11-07",
    "2011-12-30",
    "2024-02-28",
)
INTERVALS = ("minute", "hour", "day", "week", "month")

AWKWARD = (
    "plain",
    "a.b",
    "a.b.c",
    "$pathname",
    '"); DROP',
    "it's",
    "back\\\\slash",
    "tick`tick",
    "größe",
    "日本",
    "sp ace",
    "{p0:String}",
    "%s",
    "a%2Eb",
    "a%25",
    "",
    "a.",
    "x:`Int64`",
    "t\tab",
    "new\nline",
)
NAMES = ("$pageview", "signup", 'it\'s \\ "x"', "日本")
USUAL = ("a", "n", "a.b", "plain", "$pathname")
INSIDE = ("b", "c", "", "b.c")
TEXTS = ("", "x", "xy", "5", "true", "' OR 1=1 --", "a\\nb", "ünï", "日本語", "🙂", "/pricing", "a\nb\t\\", "a\0b")
INTEGERS = (-3, 0, 1, 2, 5, 9, 10, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1)
# Their sums are exact, so that the order of adding them is nobody's business.
REALS = (-2.5, 0.25, 1.5, 5.0, 1e9 + 0.5, 0.0)
texts = st.sampled_from(TEXTS)
integers = st.sampled_from(INTEGERS)
reals = st.sampled_from(REALS)
scalars = texts | integers | reals | st.booleans()
keys = st.sampled_from(AWKWARD)


class Maker:
    """Makes events of a seed: many of them, for few draws of Hypothesis."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def events(self, count: int, start_ms: int, span_ms: int, weights: Sequence[float]) -> list[Happened]:
        # Rounded, so that times meet, and now and then not.
        grain = self._random.choice([1, 60_000, 1_800_000, 3_600_000])
        sort = self._random.choice(["text", "number", "mixed", "mixed"])
        return [self._event(start_ms, span_ms, grain, sort, weights) for _ in range(count)]

    def _event(self, start_ms: int, span_ms: int, grain: int, sort: str, weights: Sequence[float]) -> Happened:
        pick = self._random.choice
        return Happened(
            start_ms + self._random.randint(0, span_ms) // grain * grain,
            pick(NAMES),
            pick(["", "u1", "u2", "u3", "ü'4"]),
            pick(["", "m1", "m2"]),
            pick(["", "s1", "s2"]),
            pick([False, False, False, False, True]),
            pick(weights),
            {name: pick(["/pricing", "x", "a\nb"]) for name in ("page_path", "utm_source") if pick([True, False])},
            self._properties(sort),
        )

    def _properties(self, sort: str) -> dict[str, Any]:
        pick = self._random.choice
        names = self._random.sample(USUAL, 3) + self._random.sample(AWKWARD, 2)
        return {name: self._value(sort, pick([0, 0, 0, 1])) for name in names}

    def _value(self, sort: str, depth: int) -> Any:
        pick = self._random.choice
        if depth:
            return {name: self._value(sort, pick([0, 0, 0, depth - 1])) for name in self._random.sample(INSIDE, 2)}
        if sort == "text":
            return pick([*TEXTS, *TEXTS, None])
        if sort == "number":
            return pick([*INTEGERS, *REALS, None])
        other = (True, False, None, None, [], [1], ["x", None], [[1]])
        return pick([pick(TEXTS), pick(INTEGERS), pick(REALS), pick(other)])


key_names = keys | st.sampled_from(
    [
        *USUAL,
        *USUAL,
        "distinct_id",
        "user_id",
        "session_id",
        "event",
        "a",
        "n",
        "properties.a.b",
        "properties.event",
        "properties.$pathname",
        "$utm_source",
        "nothing.like.it",
    ]
)
patterns = st.sampled_from(["x", "^x", "y$", "[0-9]+", "a.b", "^$", "(x|5)", "\\\\"])


@st.composite
def leaves(draw: st.DrawFn) -> dict[str, Any]:
    if draw(st.integers(0, 11)) == 0:
        op = draw(st.sampled_from(["eq", "!=", "exists"]))
        return {"key": "test", "op": op} | ({} if op == "exists" else {"value": draw(st.booleans())})
    key = draw(key_names)
    op = draw(
        st.sampled_from(
            (
                *("eq", "neq", "in", "not_in", "contains", "not_contains", "starts_with", "ends_with", "regex", "gt"),
                *("gte", "lt", "lte", "between", "exists", "not_exists", "=", "!=", ">", ">=", "<", "<=", "equals"),
            )
        )
    )
    leaf: dict[str, Any] = {"key": key, "op": op}
    if op in ("exists", "not_exists"):
        return leaf
    if op in ("in", "not_in"):
        return leaf | {"value": draw(st.lists(scalars | st.sampled_from(["u1", "s1"]), min_size=1, max_size=3))}
    if op in ("contains", "not_contains", "starts_with", "ends_with"):
        return leaf | {"value": draw(texts)}
    if op == "regex":
        return leaf | {"value": draw(patterns)}
    numbers = integers | reals
    if op == "between":
        kind = draw(st.sampled_from([numbers, texts]))
        return leaf | {"value": [draw(kind), draw(kind)]}
    if op in ("gt", "gte", "lt", "lte", ">", ">=", "<", "<="):
        return leaf | {"value": draw(numbers | texts)}
    return leaf | {"value": draw(scalars | st.sampled_from(["u1", "$pageview"]))}


def filters() -> st.SearchStrategy[Any]:
    inner = st.recursive(
        leaves(),
        lambda parts: (
            st.builds(lambda p: {"not": p}, parts)
            | st.builds(lambda p: {"and": p}, st.lists(parts, min_size=1, max_size=2))
            | st.builds(lambda p: {"or": p}, st.lists(parts, min_size=1, max_size=2))
        ),
        max_leaves=3,
    )
    return st.none() | st.none() | leaves() | inner


metrics = st.sampled_from(["count", "unique_users", "sessions", "events_per_user"]) | st.builds(
    lambda agg, key: {"agg": agg, "property": key},
    st.sampled_from(["sum", "avg", "min", "max", "median", "p75", "p90", "p95", "p99", "count_distinct"]),
    st.sampled_from(["a", "n", "a.b", "plain", "$pathname", "distinct_id", "nothing"]),
)
breakdowns = st.builds(
    lambda key, limit, other: {"key": key, "limit": limit, "other": other},
    key_names | st.just("test"),
    st.integers(1, 3),
    st.booleans(),
)
compares = st.none() | st.sampled_from(["previous_period", "previous_year"])
