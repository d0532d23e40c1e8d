"""The quick way of reading a moment says what the full rules say."""

import pytest
from headgate_dialects.formats.moment import Moment, iso8601, rfc3339
from hypothesis import given
from hypothesis import strategies as st

_NEARLY = st.builds(
    "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}.{:03d}Z".format,
    st.integers(0, 9999),
    st.integers(0, 13),
    st.integers(0, 32),
    st.integers(0, 25),
    st.integers(0, 61),
    st.integers(0, 61),
    st.integers(0, 999),
)


@given(_NEARLY)
def test_a_browsers_spelling_means_what_the_same_moment_in_another_spelling_means(text: str) -> None:
    for read in (iso8601, rfc3339):
        assert read(text) == read(text.replace("Z", "+00:00"))


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-01T02:Z\x00:26.213Z",
        "2026-12-01T02:03:04.12\u0663Z",
        "2026-12-01T02:03:04,123Z",
        "2026-W01-1T02:03:04.12Z",
    ],
)
def test_what_only_datetime_takes_is_no_rfc_3339(text: str) -> None:
    assert rfc3339(text) is None


def test_a_leap_second_in_a_browsers_spelling_is_the_next_second() -> None:
    assert iso8601("2016-12-31T23:59:60.000Z") == Moment(1_483_228_800, 0)
