"""A year of history of every dialect goes from the store into sinks that are new: as many events, and the same ones.

HEADGATE_TEST_SCALE_EVENTS says how many; `tox -e scale` takes a million.
"""

import asyncio
import itertools
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import pytest
from headgate.v1 import event_pb2
from headgate_service.directory.project import Project
from headgate_service.model.sink import SinkSpec
from headgate_service.sink_control.replays import Replays
from headgate_service.sink_control.store_replays import StoreReplays
from headgate_service.store.client import Store
from headgate_service.store.history import History
from headgate_sinks.formats.event_json import event_line
from headgate_sinks.formats.event_row import COLUMNS
from headgate_sinks.postgres.sink import postgres_row
from headgate_sinks.store.rows import COLUMNS as STORED
from headgate_sinks.store.rows import rows

EVENTS = int(os.environ.get("HEADGATE_TEST_SCALE_EVENTS", "12000"))
SAMPLE = min(10_000, EVENTS)
PROJECTS = 5
FIRST_MS = 1_767_225_600_000
YEAR_MS = 365 * 86_400_000
SECONDS = 60 + EVENTS / 500
DIALECTS = [one for one in event_pb2.Dialect.values() if one]


def project(name: str) -> Project:
    return Project(name, name, name, "org", sum(name.encode()) % 64, None, None)


def made(number: int) -> event_pb2.Event:
    """An event that follows from its number, and has of each field something or nothing."""
    bits = number * 2654435761 % (1 << 32)
    dialect = DIALECTS[number % len(DIALECTS)]
    event = event_pb2.Event(
        project_id=f"scale{number % PROJECTS}",
        event_id=f"e{number:08d}",
        name=("viewed", "clicked", "bought")[number % 3],
        sample_weight=(1.0, 4.0)[bits >> 3 & 1],
        distinct_id=f"u{bits % 5000}",
        user_id=f"u{bits % 5000}" if bits & 16 else "",
        session_id=f"s{bits % 9000}" if bits & 32 else "",
        test=bool(bits & 64),
        dialect=dialect,
        properties_json=b'{"n":%d,"text":"\xc3\xbc \\"x\\"","at":%d.5}' % (number, bits) if bits & 128 else b"",
    )
    if dialect == event_pb2.DIALECT_PLUGIN:
        event.dialect_name = "segment"
    # Some in the same millisecond.
    event.receive_time.FromMilliseconds(FIRST_MS + number // 3 * (YEAR_MS // (EVENTS // 3 + 1)))
    event.occur_time.FromNanoseconds(event.receive_time.ToNanoseconds() - bits)
    if bits & 256:
        event.page.href, event.page.title = f"https://a.example/{number}", "\u00c4"
    if bits & 512:
        event.campaign.source, event.campaign.campaign = "mail", "spring"
    if bits & 1024:
        event.sdk.name, event.request.method = "js", "GET"
    if bits & 2048:
        event.experiment.variant_id, event.experiment.conversion = "b", True
    if bits & 4096:
        event.client_time.FromNanoseconds(event.receive_time.ToNanoseconds() + bits)
    return event


def numbered(size: int) -> Iterator[list[event_pb2.Event]]:
    for first in range(0, EVENTS, size):
        yield [made(number) for number in range(first, min(first + size, EVENTS))]


@pytest.mark.timeout(3 * SECONDS)
async def test_a_year_of_every_dialect_is_the_same_in_new_sinks(
    rig: Any, producer: Any, store: Any, new_database: Callable[[], str]
):
    for part in numbered(20_000):
        await store.ask(f"INSERT INTO events ({', '.join(STORED)}) FORMAT RowBinary", rows(part))
    url = new_database().replace("+asyncpg", "")
    client, names = Store(store.url), [f"scale{n}" for n in range(PROJECTS)]
    numbers = itertools.count(1)
    replays = Replays(producer.pipeline, lambda: f"r{next(numbers)}")
    parts = await StoreReplays(History(client), lambda: FIRST_MS + 2 * YEAR_MS).ranges(map(project, names), 0, 1 << 52)
    assert sum(part.last_seq for _, part in parts) == EVENTS
    sinks = rig.jsonl(), SinkSpec(name="warehouse", use="postgres", settings={"url": url})

    async def done() -> bool:
        return all(view.stored.end for view in await replays.view())

    async with rig.forwarding(rig.config(*sinks, store_url=store.url)):
        for sink in ("jsonl", "warehouse"):
            began = time.monotonic()
            await replays.start(sink, parts, 0, from_store=True)
            while not await done():
                assert time.monotonic() < began + SECONDS, f"{sink}: {await replays.view()}"
                await asyncio.sleep(0.1)
            print(f"{sink}: {EVENTS} events in {time.monotonic() - began:.0f} s")  # noqa: T201
    await client.close()
    for view in await replays.view():
        assert (view.selected, view.delivered, view.dead, view.filtered, view.pending) == (EVENTS, EVENTS, 0, 0, 0)

    chosen = sorted(random.Random(14).sample(range(EVENTS), SAMPLE))
    lines: dict[str, bytes] = {}
    count = 0
    wanted = {f"e{number:08d}" for number in chosen}
    for path in sorted((rig.data_dir / "events").glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            count += 1
            if (name := json.loads(line)["eventId"]) in wanted:
                assert name not in lines
                lines[name] = line
    assert count == EVENTS
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT count(*) FROM headgate_events") == EVENTS
    found = await connection.fetch("SELECT * FROM headgate_events WHERE event_id = ANY($1)", sorted(wanted))
    await connection.close()
    by_id = {row["event_id"]: row for row in found}
    for number in chosen:
        event = made(number)
        assert lines[event.event_id] == event_line(event)
        row = dict(zip((column.name for column in COLUMNS), postgres_row(event), strict=True))
        in_table = dict(by_id[event.event_id])
        assert json.loads(in_table.pop("properties") or "null") == json.loads(row.pop("properties") or "null")
        assert in_table == row
    print(f"{EVENTS} events, {SAMPLE} compared")  # noqa: T201
