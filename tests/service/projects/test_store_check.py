"""What the store should hold by the ledger, against what it holds."""

import pytest
from headgate_service.delivery.books import Books
from headgate_service.directory.project import Project
from headgate_service.projects.store_check import HourCheck, Stored, compare

PROJECT = Project("prj_1", "shop", "Shop", "org", 0, None, None)
NOW = 1000


def books(*, start: int = 0, last: int = 60, filtered: int = 0, dead: int = 0, pending: int = 0) -> Books:
    delivered = last - start - filtered - dead - pending
    return Books("store", "prj_1", start, last, delivered, filtered, dead, pending, None)


def checked(accepted: dict[int, int], of_sink: Books, rows: dict[int, int], **stored):
    return compare(PROJECT, accepted, of_sink, Stored(rows, stored.pop("erased", {}), **stored), NOW)


def test_a_store_that_holds_all_differs_in_nothing():
    check = checked({10: 20, 11: 40}, books(), {10: 20, 11: 40})
    assert (check.expected, check.rows, check.missing, check.surplus, check.hours) == (60, 60, 0, 0, [])
    assert check.whole


def test_rows_that_are_not_there_are_named_by_their_hour():
    check = checked({10: 20, 11: 40}, books(), {10: 17})
    assert (check.missing, check.surplus, check.whole) == (43, 0, False)
    assert check.hours == [HourCheck(10, 20, 17), HourCheck(11, 40, 0)]


def test_rows_too_many_in_one_hour_make_up_for_none_in_another():
    check = checked({10: 20, 11: 40}, books(), {10: 23, 11: 37, 12: 1})
    assert (check.missing, check.surplus) == (3, 4)
    assert check.hours == [HourCheck(10, 20, 23), HourCheck(11, 40, 37), HourCheck(12, 0, 1)]


@pytest.mark.parametrize(
    ("of_sink", "rows", "missing"),
    [
        # Accepted before the sink's start, some of it brought in by a replay all the same.
        (books(start=25), {10: 0, 11: 35}, 0), (books(start=25), {10: 20, 11: 35}, 0), (books(start=25), {11: 34}, 1),
        # Still on its way.
        (books(pending=45), {10: 15}, 0), (books(pending=45), {10: 14}, 1), (books(pending=45), {10: 20, 11: 3}, 0),
        # Filtered or given up, nobody knows in which hour.
        (books(filtered=3, dead=2), {10: 16, 11: 39}, 0), (books(filtered=3, dead=2), {10: 15, 11: 39}, 1),
        # The ledger's older hours are gone.
        (books(start=100, last=160), {10: 20, 11: 40}, 0), (books(start=100, last=160), {10: 20, 11: 39}, 1),
        (books(start=110, last=160), {10: 10, 11: 40}, 0), (books(start=110, last=160), {10: 9, 11: 40}, 1),
    ],
)  # fmt: skip
def test_what_the_store_need_not_hold_is_not_missing(of_sink: Books, rows: dict[int, int], missing: int):
    check = checked({10: 20, 11: 40}, of_sink, rows)
    assert (check.missing, check.surplus) == (missing, 0)


def test_what_was_deleted_or_kept_long_enough_is_not_missing():
    assert checked({10: 20, 11: 40}, books(), {10: 15, 11: 40}, erased={10: 5}).whole
    assert checked({10: 20, 11: 40}, books(), {10: 14, 11: 40}, erased={10: 5}).missing == 1
    assert checked({10: 20, 11: 40}, books(), {11: 40}, kept_from=11).whole
    assert checked({10: 20, 11: 40}, books(), {10: 20, 11: 40}, kept_from=11).whole


def test_an_hour_that_is_not_over_may_hold_what_came_in_meanwhile():
    assert checked({NOW: 60}, books(), {NOW: 70}).whole
    assert checked({NOW: 60}, books(), {NOW: 59}).missing == 1
