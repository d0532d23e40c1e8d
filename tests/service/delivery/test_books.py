"""The arithmetic of the books."""

import pytest
from headgate_service.delivery.books import Books, EntryMark, pending

MARKS = (EntryMark("5-0", 3, 3), EntryMark("7-0", 4, 1), EntryMark("7-1", 10, 6))


@pytest.mark.parametrize(
    ("settled", "expected"),
    [(0, (10, 5)), (2, (8, 5)), (3, (7, 7)), (4, (6, 7)), (9, (1, 7)), (10, (0, None)), (12, (0, None))],
)
def test_pending_is_counted_entry_by_entry_from_where_the_sink_is(settled, expected):
    assert pending(MARKS, settled) == expected


def test_an_entry_that_is_not_there_is_not_pending_either():
    assert pending((MARKS[0], MARKS[2]), 0) == (9, 5)


def test_the_difference_is_what_nothing_explains():
    books = Books("hook", "p", start=10, last=30, delivered=12, filtered=1, dead=2, pending=4, oldest_ms=5)
    assert (books.accepted, books.difference) == (20, 1)
