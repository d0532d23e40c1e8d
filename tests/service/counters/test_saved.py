from datetime import UTC, datetime

from headgate_service.counters.saved import HOUR_MS, Counted, open_since

NOW = int(datetime(2026, 11, 25, 16, 30, tzinfo=UTC).timestamp() * 1000)
HOUR = NOW // HOUR_MS


def counted(use: dict[str, object], cursors: dict[str, object] | None = None) -> Counted:
    return Counted.of("p", 7, NOW, flat(use), flat(cursors or {}))


def flat(fields: dict[str, object]) -> list[bytes]:
    return [str(part).encode() for field in fields.items() for part in field]


def test_each_field_finds_its_place():
    found = counted(
        {
            "seq": 9,
            "bytes": 90,
            "trimmed_seq": 2,
            "trimmed_bytes": 20,
            "m202611": 5,
            "m202610": 4,
            f"h:{HOUR}:accepted": 3,
            f"h:{HOUR}:refused:RATE_LIMITED": 8,
        },
        {"c:hook": "1-1 9 90", "delivered:hook": 9, "c:replay.ab": "1-1 1 1", "delivered:replay.ab": 1},
    )
    assert (found.seq, found.payload_bytes, found.trimmed_seq, found.trimmed_bytes) == (9, 90, 2, 20)
    assert found.months == {202611: 5, 202610: 4}
    assert found.hours == {(HOUR, "accepted"): 3, (HOUR, "refused:RATE_LIMITED"): 8}
    assert found.sinks == {"c:hook": "1-1 9 90", "delivered:hook": "9"}
    assert counted({}) == Counted("p", 7, NOW, 0, 0, 0, 0, {}, {}, {})


def test_what_is_over_is_what_is_not_put_back():
    found = counted({"m202611": 1, "m202610": 2, "m202609": 3} | {f"h:{HOUR - ago}:accepted": ago for ago in range(6)})
    assert found.over() == {"m202609": 3, f"h:{HOUR - 3}:accepted": 3, f"h:{HOUR - 4}:accepted": 4} | {
        f"h:{HOUR - 5}:accepted": 5
    }
    assert open_since(NOW) == (202610, HOUR - 2)


def test_it_is_due_when_its_oldest_open_hour_is_over():
    found = counted({f"h:{HOUR - 1}:accepted": 1, f"h:{HOUR}:accepted": 1, f"h:{HOUR - 9}:accepted": 1})
    assert found.due_ms() == (HOUR + 2) * HOUR_MS
    at = Counted.of("p", 7, found.due_ms(), flat({f"h:{HOUR - 1}:accepted": 1}), [])
    assert at.over() == {f"h:{HOUR - 1}:accepted": 1}
    assert counted({f"h:{HOUR - 9}:accepted": 1}).due_ms() == 0


def test_the_month_before_january_is_december():
    assert open_since(int(datetime(2027, 1, 1, tzinfo=UTC).timestamp() * 1000))[0] == 202612


def test_a_sink_is_as_far_as_its_cursor_or_where_it_would_begin():
    found = counted({"trimmed_seq": 2}, {"c:hook": "1-1 9 90", "start:hook": 1, "c:old": "1-1 4 4"})
    assert found.places(["file", "hook"]) == [("file", 2, 2), ("hook", 9, 1), ("old", 4, 0)]
