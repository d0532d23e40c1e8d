"""What a batch is made of, when news comes while it is read."""

from headgate.v1 import event_pb2
from headgate_service.delivery.batch_reader import BatchReader, EventCache
from headgate_service.log.entry import encode
from headgate_service.log.position import oldest
from headgate_service.log.reader import Entry
from headgate_sinks import Limits


class GrowingLog:
    """A project that has news again each time it is read, as one that clients write to all the time."""

    def __init__(self, entries: int) -> None:
        self.news: dict[str, None] = {"prj_a": None}
        self.entries = entries

    async def read(self, project_id: str, after: str, count: int) -> list[Entry]:
        self.news[project_id] = None
        start = int(after.partition("-")[0])
        stop = min(start + count, self.entries)
        return [self._entry(project_id, number) for number in range(start + 1, stop + 1)]

    def _entry(self, project_id: str, number: int) -> Entry:
        (chunk,) = encode(event_pb2.DIALECT_GRPC, [event_pb2.Event(name=f"{number}")])
        return Entry(project_id, f"{number}-0", number, number, number * 10, frozenset(), chunk.payload)


async def test_a_project_that_has_news_while_it_is_read_stands_in_the_batch_once():
    log = GrowingLog(entries=40)
    batch_reader = BatchReader(log, Limits(events=500), EventCache())
    builder = await batch_reader.gather(log.news, {"prj_a": oldest(0, 0)})
    assert [event.name for log_range in builder.log_ranges for event in log_range.events] == [
        f"{n}" for n in range(1, 41)
    ]
    assert len(builder.log_ranges) == 1
    assert "prj_a" in log.news
