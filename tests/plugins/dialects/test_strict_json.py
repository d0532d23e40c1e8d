import contextlib
import json

import pytest
from headgate_dialects.formats import strict_json
from hypothesis import given
from hypothesis import strategies as st


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b'["\xff"]',
        '{"a":1}'.encode("utf-16"),
        b"{} {}",
        nested(100_000),
    ],
)
def test_malformed(body):
    with pytest.raises(strict_json.Malformed):
        strict_json.loads(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"null", None),
        (b"[1e999]", [None]),
        (b'["\\ud800", 18446744073709551615]', ["\ufffd", 2**64 - 1]),
        (b'{"\\ud800":1}', {"\ufffd": 1}),
        (b"\xef\xbb\xbf{}", {}),
        (b'{"a":1,"\\u0061":2}', {"a": 2}),
        (b'{"events":[],"events":[1]}', {"events": [1]}),
        (b'[{"a":1,"a":3}]', [{"a": 3}]),
        (b"18446744073709551615", 2**64 - 1),
        (b"-9223372036854775808", -(2**63)),
        (nested(32), json.loads(nested(32))),
        (b'{"p":{"a":1,"a":2}}', {"p": {"a": 2}}),
        (b'{"events":[{"p":{"a":1,"a":2}}]}', {"events": [{"p": {"a": 2}}]}),
        (b'[{"events":[{"a":1,"a":2}]}]', [{"events": [{"a": 2}]}]),
        (b'{"other":[{"a":1,"a":2}]}', {"other": [{"a": 2}]}),
        (b'{"a:":":::","b":"\\u003A"}', {"a:": ":::", "b": ":"}),
        (b'{"p":{"a":1,"a":' + b"9" * 300 + b"}}", {"p": {"a": float("9" * 300)}}),
        (b'{"p":{"a":1,"a":0.' + b"9" * 5000 + b"}}", {"p": {"a": 1.0}}),
    ],
)
def test_read(body, value):
    assert strict_json.loads(body) == value


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


@given(JSON, st.booleans())
def test_whatever_json_writes_is_read_back(value, ascii_only):
    assert strict_json.loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=60))
def test_nothing_but_malformed_is_raised(body):
    with contextlib.suppress(strict_json.Malformed):
        strict_json.loads(body)


class TestOversize:
    def test_bounds_of_a_string_are_in_utf8_bytes(self):
        assert strict_json.oversize({"a": "é" * (16 * 1024)}) is None
        assert "string" in strict_json.oversize({"a": "é" * (16 * 1024) + "x"})
        assert "string" in strict_json.oversize({"k" * (32 * 1024 + 1): 1})
        assert "string" in strict_json.oversize({"deep": [{"x": "y" * (32 * 1024 + 1)}]})

    def test_bounds_of_an_event_are_in_compact_json(self):
        rest = len('{"a":"","b":"","c":""}')
        texts = {"a": "x" * 30_000, "b": "x" * 30_000}
        assert strict_json.oversize({**texts, "c": "x" * (64 * 1024 - 60_000 - rest)}) is None
        assert "event" in strict_json.oversize({**texts, "c": "x" * (64 * 1024 - 60_000 - rest + 1)})

    def test_a_body_called_small_is_small_however_it_grows(self):
        body = b"[" + b",".join([b"1e15"] * (64 * 1024 // 5 // 5)) + b"]"
        assert not strict_json.may_be_oversize(body[:-10])
        assert strict_json.oversize(strict_json.loads(body)) is None


_PIECES = ["\\\\", "\\n", "\\ud83c", "\\uDF89", "\\udfff", "\\u00e9", "u", "d83c", "a", '\\"', "\u00fc", "\\\\ud83c"]


@given(st.lists(st.sampled_from(_PIECES), max_size=12).map("".join))
def test_lone_surrogates_are_counted_where_they_are_replaced(text):
    body = f'["{text}"]'.encode()
    (value,) = json.loads(body)
    assert strict_json.lone_surrogates(body) == sum("\ud800" <= character <= "\udfff" for character in value)
