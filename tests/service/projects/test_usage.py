from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import project_service_pb2 as wire
from headgate_service.api.wire import span
from headgate_service.errors import InvalidArgument
from headgate_service.projects.usage import Counts, by_day, by_hour, usage_of

# 2026-11-24 23:00 UTC.
HOUR = int(datetime(2026, 11, 24, 23, tzinfo=UTC).timestamp()) // 3600


def test_the_ledger_is_read_by_hour_and_adds_up() -> None:
    usage = usage_of(
        {
            "seq": 7,
            "bytes": 700,
            "trimmed_seq": 1,
            "m202610": 40,
            "m202611": 7,
            f"h:{HOUR}:accepted": 5,
            f"h:{HOUR}:duplicate": 2,
            f"h:{HOUR}:dropped:sampled": 3,
            f"h:{HOUR}:refused:rate": 4,
            f"h:{HOUR}:refused:quota:x": 1,
            f"h:{HOUR + 1}:accepted": 2,
        }
    )
    assert usage.months == {"2026-10": 40, "2026-11": 7}
    ((first, counts), (second, _)) = by_hour(usage.hours)
    assert (first, second) == (datetime(2026, 11, 24, 23, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC))
    assert counts == Counts(5, 2, {"sampled": 3}, {"rate": 4, "quota:x": 1})
    assert counts.received == 15


def test_days_are_those_of_the_zone() -> None:
    hours = {HOUR: Counts(accepted=1, refused={"rate": 1}), HOUR + 1: Counts(accepted=2, refused={"rate": 2})}
    assert [counts.accepted for _, counts in by_day(hours, UTC)] == [1, 2]
    ((day, counts),) = by_day(hours, ZoneInfo("Asia/Kolkata"))
    assert day.isoformat() == "2026-11-25T00:00:00+05:30"
    assert counts == Counts(accepted=3, refused={"rate": 3})
    # What was added up is no part of what it was added up from.
    assert hours[HOUR].refused == {"rate": 1}


def test_a_day_of_a_changing_clock_is_one_day() -> None:
    zone = ZoneInfo("Europe/Berlin")
    first = int(datetime(2026, 10, 24, 22, tzinfo=UTC).timestamp()) // 3600
    rows = by_day({first + hour: Counts(accepted=1) for hour in range(26)}, zone)
    assert [(day.isoformat(), counts.accepted) for day, counts in rows] == [
        ("2026-10-25T00:00:00+02:00", 25),
        ("2026-10-26T00:00:00+01:00", 1),
    ]


@pytest.mark.parametrize(("seconds", "nanos"), [(2**62, 0), (-(2**62), 0), (0, -1), (-62_135_596_800, 0)])
def test_times_that_are_none_are_refused(seconds: int, nanos: int) -> None:
    for field in ("from_time", "to_time"):
        request = wire.GetUsageRequest(**{field: Timestamp(seconds=seconds, nanos=nanos)})
        with pytest.raises(InvalidArgument):
            span(request, datetime(2026, 11, 25, tzinfo=UTC))
