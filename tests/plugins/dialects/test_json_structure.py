"""What a JSON text holds, counted without building any of it."""

import json
from typing import Any

import pytest
from headgate_dialects.formats.json_structure import MAX_VALUES, Structure, TooManyValues, ValueLimit, elements
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(st.sampled_from('a\\"{[,]}:\u00fc\n'), max_size=6)
VALUES = st.recursive(
    st.none() | st.integers(0, 20) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def marks(value: Any) -> str:
    """The brackets and commas of a value, built by its own rules."""
    if isinstance(value, dict):
        return "{" + ",".join(map(marks, value.values())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(marks, value)) + "]"
    return ""


@given(VALUES, st.lists(st.integers(0, 300), max_size=4), st.booleans())
def test_strings_hold_no_structure_however_the_text_is_cut(value: Any, cuts: list[int], ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    structure = Structure()
    ends = [*sorted(cuts), len(body)]
    starts = [0, *ends[:-1]]
    assert b"".join(structure.of(body[start:end]) for start, end in zip(starts, ends, strict=True)).decode() == marks(
        value
    )


@given(VALUES)
def test_elements_are_those_of_the_outermost_array_or_of_the_longest_right_within_the_outermost_object(
    value: Any,
) -> None:
    arrays = [value] if isinstance(value, list) else []
    if isinstance(value, dict):
        arrays = [inner for inner in value.values() if isinstance(inner, list)]
    # To tell an empty array from one with an element takes more than its commas.
    assert elements(json.dumps(value).encode()) == max((max(len(array), 1) for array in arrays), default=0)


def test_elements_of_a_text_that_is_cut_short_are_counted_as_far_as_it_goes() -> None:
    assert elements(b'{"a":[{},{},{"b":[1,2,3,4,5,6]},{}') == 4


@pytest.mark.parametrize("separator", [b"", b"  \n"])
def test_values_are_bounded_over_all_pieces(separator: bytes) -> None:
    piece = (b"{}," + separator) * 1000
    limit = ValueLimit()
    limit.add(b'{"events":[')
    for _ in range(MAX_VALUES // 2000 - 1):
        limit.add(piece)
    with pytest.raises(TooManyValues):
        limit.add(piece)


def test_what_stands_in_strings_is_no_value() -> None:
    limit = ValueLimit()
    for _ in range(3):
        limit.add(b'["' + b"{},[]" * MAX_VALUES)
        limit.add(b'\\"",')
