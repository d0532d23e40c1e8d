"""The short ways of reading what nearly every client sends: what they take, the full rules take, and as the same."""

from typing import Any

import orjson
import pytest
from headgate_dialects.builtin import codcompass, realanalytics
from headgate_dialects.parts import codcompass_usual, realanalytics_usual
from headgate_dialects.sdk.dialect import Dialect, Inbound, Parsed, Unparsable
from hypothesis import example, given, settings
from hypothesis import strategies as st

HEADERS = {"x-api-key": "pk_live_x"}
EVENT = {
    "event": "signup",
    "timestamp": "2026-02-03T15:30:00.000Z",
    "distinctId": "u:1",
    "sessionId": "s-1",
    "properties": {"plan": "pro", "at": "12:30", "list": [1, {"a": 2.5}]},
}
VIEW = {"type": "page_view", "payload": {"plan": "pro"}, "userId": "u-1", "sessionId": "s-1"}

STRINGS = [
    '"a"',
    '""',
    '":"',
    '"{"',
    '"\\u003a"',
    '"\\u003A"',
    '"\\ud800"',
    '"\\n"',
    '"\\""',
    '"\u00fc"',
    f'"{"x" * 1100}"',
]
NUMBERS = ["1", "-0", "1.50", "1E5", "1e999", "18446744073709551615", "18446744073709551616", "-9223372036854775809"]
MOMENTS = [
    "2026-02-03T15:30:00.000Z",
    "2026-02-03T15:30:60.000Z",
    "2026-13-03T15:30:00.000Z",
    "2026-02-03",
    "0000-01-01",
    "1969-12-31T23:59:59.999Z",
    "1970-01-01T00:00:00.000Z",
    "2026-02-03T15:30:00.123456789+01:00",
    "x",
]
SCALARS = st.sampled_from([*STRINGS, *NUMBERS, "true", "null", "NaN"])


def objects(values: st.SearchStrategy[str], keys: list[str]) -> st.SearchStrategy[str]:
    """Raw objects, in which keys may come twice."""
    pairs = st.tuples(st.sampled_from([f'"{key}"' for key in keys]), values)
    return st.lists(pairs, max_size=4).map(lambda all_: "{" + ",".join(f"{key}:{value}" for key, value in all_) + "}")


VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        objects(inner, ["a", "b", "a:", "{"]) | st.lists(inner, max_size=3).map(lambda all_: f"[{','.join(all_)}]")
    ),
    max_leaves=6,
)
DEEP = st.integers(25, 33).map(lambda depth: '{"a":' * depth + "1" + "}" * depth)


@st.composite
def events(draw: st.DrawFn, usual: dict[str, st.SearchStrategy[str]]) -> str:
    """Raw events: all fields as they should be, but for one or two things at the most."""
    fields = [(name, draw(value)) for name, value in usual.items()]
    match draw(st.sampled_from(["as they are", "one other", "one less", "one more", "one twice"])):
        case "one other":
            at = draw(st.integers(0, len(fields) - 1))
            fields[at] = (fields[at][0], draw(VALUES))
        case "one less":
            fields.pop(draw(st.integers(0, len(fields) - 1)))
        case "one more":
            fields.append((draw(st.sampled_from(["more", "apiKey", "events"])), draw(VALUES)))
        case "one twice":
            fields.append(draw(st.sampled_from(fields)))
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields) + "}"


PROPERTIES = objects(VALUES, ["a", "b", "a:"]) | DEEP
TEXTS = st.sampled_from(['"u-1"', '"u:1"', *STRINGS])
RAW_EVENTS = events(
    {
        "event": TEXTS,
        "timestamp": st.sampled_from([f'"{text}"' for text in MOMENTS]),
        "distinctId": TEXTS,
        "sessionId": TEXTS,
        "properties": PROPERTIES,
    }
)
RAW_VIEWS = events({"type": TEXTS, "payload": PROPERTIES, "userId": TEXTS, "sessionId": TEXTS})
OUTSIDE = st.sampled_from(["", ',"timestamp":"2026-02-03T15:30:00.000Z"', ',"timestamp":5', ',"apiKey":"k"', ',"x":{}'])


def several(raw: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(raw, max_size=3).map(",".join)


def read(dialect: Dialect, body: bytes) -> tuple[Any, ...]:
    """What the dialect makes of a body, in a form that can be compared."""
    try:
        parsed: Parsed = dialect.parse(Inbound(HEADERS, body))
    except Unparsable as unparsable:
        return (unparsable.cause, tuple(unparsable.faults), unparsable.refused)
    return (parsed.request.entry.SerializeToString(deterministic=True), parsed.refused, parsed.credential)


def same_by_full_rules(module: Any, dialect: Dialect, body: bytes) -> bool:
    found = read(dialect, body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "usual_request", lambda _: None)
        assert read(dialect, body) == found
    return True


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        RAW_EVENTS,
        several(RAW_EVENTS).map("[{}]".format),
        st.tuples(several(RAW_EVENTS), OUTSIDE).map(lambda two: f'{{"events":[{two[0]}]{two[1]}}}'),
    )
)
@example('{"events":[],"events":[' + orjson.dumps(EVENT).decode() + "]}")
def test_realanalytics_reads_the_same(raw: str) -> None:
    assert same_by_full_rules(realanalytics, realanalytics.RealAnalytics(), raw.encode())


@settings(max_examples=400, deadline=None)
@given(several(RAW_VIEWS), OUTSIDE)
def test_codcompass_reads_the_same(raw: str, outside: str) -> None:
    assert same_by_full_rules(codcompass, codcompass.Codcompass(), f'{{"events":[{raw}]{outside}}}'.encode())


@pytest.mark.parametrize(
    ("usual", "body"),
    [
        (realanalytics_usual, EVENT),
        (realanalytics_usual, [EVENT] * 100),
        (realanalytics_usual, {"events": [EVENT]}),
        (realanalytics_usual, EVENT | {"timestamp": "2026-02-03T15:30:00Z", "properties": {}}),
        (codcompass_usual, {"events": [VIEW] * 100}),
        (codcompass_usual, {"events": [VIEW, {"type": "x"}], "timestamp": "2026-02-03T15:30:00.000Z"}),
    ],
)
def test_the_usual_is_read_the_short_way(usual: Any, body: object) -> None:
    assert usual.usual_request(orjson.dumps(body)) is not None


@pytest.mark.parametrize(
    "body",
    [
        b'{"events":[{"type":"a","payload":{},"payload":{}}]}',
        b'{"events":[{"type":"a"}],"events":[]}',
        b'{"events":[{"type":"a","payload":' + b'{"a":' * 30 + b"1" + b"}" * 31 + b"]}",
        b'{"events":[{"type":"a","payload":{"a":"' + b"x" * 40_000 + b'"}}]}',
        b'{"events":[{"type":"a","payload":{"a":18446744073709551616}}]}',
        b'{"events":[{"type":"a","payload":{"a":"\xff"}}]}',
        b'{"events":[{"type":"a","more":1}]}',
        b'{"events":[{"type":null}]}',
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_full_rules(body: bytes) -> None:
    assert codcompass_usual.usual_request(body) is None
