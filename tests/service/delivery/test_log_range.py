"""Parts of batches: where they end, and how they are divided."""

from headgate.v1 import event_pb2
from headgate_service.delivery.log_range import LogRange, Mark, events_of, halves, start_of, without
from headgate_service.log.position import Position
from hypothesis import given
from hypothesis import strategies as st


def log_range(project: str = "a", sizes: tuple[int, ...] = (2, 3), start: Position | None = None) -> LogRange:
    start = start or Position("0-0", 10, 100)
    marks, seq, size = [], start.seq, start.bytes
    for index, count in enumerate(sizes, 1):
        seq, size = seq + count, size + 7
        marks.append(Mark(f"{index}-0", seq, size))
    events = [event_pb2.Event(name=f"{project}{number}") for number in range(start.seq + 1, seq + 1)]
    return LogRange.whole(project, start, marks, events)


def test_a_position_inside_an_entry_leaves_the_entry_undone():
    assert log_range().end == Position("2-0", 15, 114)
    assert log_range().position(12) == Position("1-0", 12, 107)
    assert log_range().position(14) == Position("1-0", 14, 107)
    assert log_range().position(11) == Position("0-0", 11, 100)


def test_what_is_sealed_says_where_it_starts():
    whole = log_range()
    assert start_of(whole.sealed()) == whole.start
    _, rest = whole.divided(3)
    assert start_of(rest.sealed()) == rest.start == Position("1-0", 13, 107)
    assert (rest.sealed().after_seq, rest.sealed().last_seq, rest.sealed().last_entry) == (13, 15, "2-0")


sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@given(st.lists(sizes, min_size=1, max_size=4))
def test_halves_hold_the_same_events_and_lead_to_the_same_positions(shapes):
    log_ranges = [log_range(f"p{index}", shape) for index, shape in enumerate(shapes)]
    if len(events_of(log_ranges)) < 2:
        return
    first, second = halves(log_ranges)
    assert abs(len(events_of(first)) - len(events_of(second))) <= 1
    assert events_of(first) + events_of(second) == events_of(log_ranges)
    ends = {one.project_id: one.end for one in [*first, *second]}
    assert ends == {one.project_id: one.end for one in log_ranges}
    starts = {one.project_id: one.start for one in first}
    for one in second:
        before = next((early.end for early in first if early.project_id == one.project_id), one.start)
        assert one.start == before
    assert all(starts[one.project_id] == one.start for one in log_ranges if one.project_id in starts)


def test_what_expired_is_left_out():
    parts = [log_range("a"), log_range("b"), log_range("c")]
    kept = without(parts, {"a": Position("2-0", 15, 114), "b": Position("1-0", 12, 107)})
    assert [(one.project_id, one.start, len(one.events)) for one in kept] == [
        ("b", Position("1-0", 12, 107), 3),
        ("c", Position("0-0", 10, 100), 5),
    ]
    assert without(parts, {"a": Position("0-0", 10, 100)}) == parts
