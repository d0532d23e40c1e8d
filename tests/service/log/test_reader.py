"""Reading an entry back: what an event gets that was not stored with it."""

from headgate.v1 import event_pb2
from headgate_service.log.entry import encode
from headgate_service.log.reader import Entry, made_event_id, timestamp

MS = 1_795_000_000_000
SECONDS = MS // 1000


def read(*events: event_pb2.Event, skips: frozenset[int] = frozenset()):
    (chunk,) = encode(event_pb2.DIALECT_GRPC, events)
    return Entry("prj_a", f"{MS}-0", MS + 5, 10, 1000, skips, chunk.payload).read()


def test_an_event_is_completed_and_keeps_what_it_has():
    bare, own = read(event_pb2.Event(name="a"), event_pb2.Event(name="b", event_id="own", sample_weight=4.0)).events
    assert bare == event_pb2.Event(
        event_id=made_event_id("prj_a", MS + 5, 9),
        name="a",
        occur_time=timestamp(MS + 5),
        receive_time=timestamp(MS + 5),
        project_id="prj_a",
        dialect=event_pb2.DIALECT_GRPC,
        sample_weight=1.0,
    )
    assert (own.event_id, own.sample_weight) == ("own", 4.0)


def test_a_time_of_1970_is_a_time():
    (event,) = read(event_pb2.Event(name="a", occur_time={"seconds": 0})).events
    assert event.HasField("occur_time")
    assert event.occur_time.seconds == 0


def test_a_time_a_day_ahead_is_the_clients_and_not_the_events():
    day = SECONDS + 24 * 3600
    just, ahead = read(
        event_pb2.Event(name="a", occur_time={"seconds": day}),
        event_pb2.Event(name="b", occur_time={"seconds": day + 1}),
    ).events
    assert (just.occur_time.seconds, just.HasField("client_time")) == (day, False)
    assert (ahead.occur_time, ahead.client_time.seconds) == (timestamp(MS + 5), day + 1)


def test_made_ids_never_change():
    assert made_event_id("prj_a", MS, 7) == "01a1ee56-5e00-714f-97ac-3d9ef1a8b738"
    assert made_event_id("prj_a", MS, "dropped/0/ab") == "01a1ee56-5e00-7321-a80b-fa66f7fd43e1"


def test_events_take_no_more_bytes_than_is_said_however_they_were_stored():
    kinds = [
        event_pb2.Event(name="a"),
        event_pb2.Event(name="b", occur_time={"seconds": 1 << 36, "nanos": 999_999_999}),
        event_pb2.Event(name="c", event_id="x" * 200, sample_weight=2.0, occur_time={"seconds": SECONDS}),
    ]
    for events in ([kind] for kind in kinds):
        whole = read(*events)
        assert sum(event.ByteSize() for event in whole.events) <= whole.most_bytes
    whole = read(*kinds * 50, skips=frozenset(range(0, 150, 2)))
    assert len(whole.events) == 75
    assert sum(event.ByteSize() for event in whole.events) <= whole.most_bytes
