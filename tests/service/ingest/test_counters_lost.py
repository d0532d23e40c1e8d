"""A running service whose Redis is emptied under it."""

import asyncio
import itertools
import socket
import sqlite3
from datetime import UTC, datetime
from functools import partial

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headgate.v1 import event_pb2
from headgate.v1.ingest_service_pb2 import IngestEventsRequest
from headgate.v1.receipt_service_pb2 import GetReceiptRequest
from headgate_service.redis.keys import shard_keys

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def in_sql(service, query: str) -> int:
    with sqlite3.connect(service.config.database_url.partition("///")[2]) as connection:
        return connection.execute(query).fetchone()[0] or 0


async def send(service, event_id: str = "", count: int = 1):
    events = [event_pb2.Event(name="e", distinct_id="u", event_id=event_id) for _ in range(count)]
    return await service.ingest.IngestEvents(IngestEventsRequest(events=events), metadata=service.bearer())


async def health(service, name: str = "") -> int:
    request = health_pb2.HealthCheckRequest(service=name)
    return (await health_pb2_grpc.HealthStub(service.channel).Check(request)).status


async def until(look) -> None:
    async with asyncio.timeout(20):
        while not await look():
            await asyncio.sleep(0.02)


@pytest.fixture
async def service(start_service):
    return await start_service(copy_seconds=0.1)


async def copied(service) -> None:
    """Waits for a copy that began after now."""
    accepted = in_sql(service, "SELECT sum(events) FROM hours")
    await send(service)

    async def newer() -> bool:
        return in_sql(service, "SELECT sum(events) FROM hours") > accepted

    await until(newer)


async def test_it_serves_only_with_its_counters_and_again_by_itself(service, redis):
    kept = await send(service, count=4)
    await copied(service)
    database = sqlite3.connect(service.config.database_url.partition("///")[2], isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    await redis.flushall()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await send(service)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "counters" in refused.value.details()
    for name in ("", "headgate.v1.IngestService", "counters"):
        await until(partial(is_, service, name, NOT_SERVING))
    assert await health(service, "redis") == SERVING
    with pytest.raises(grpc.aio.AioRpcError):
        await send(service)

    database.close()
    await until(partial(is_, service, "", SERVING))
    again = await send(service)
    assert in_sql(service, "SELECT events FROM months") == 5
    await copied(service)
    assert in_sql(service, "SELECT events FROM months") == 7

    gone = await service.receipts.GetReceipt(GetReceiptRequest(receipt=kept.receipt), metadata=service.bearer())
    assert (gone.accepted, gone.durable, list(gone.sinks)) == (4, False, [])
    assert gone.log_lost_time.ToMilliseconds() > gone.receive_time.ToMilliseconds()
    here = await service.receipts.GetReceipt(GetReceiptRequest(receipt=again.receipt), metadata=service.bearer())
    assert (here.durable, here.HasField("log_lost_time")) == (True, False)
    assert [row.pending for row in here.sinks] == [1, 1]


async def test_the_age_of_the_copy_is_a_metric(start_service, redis):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    service = await start_service(copy_seconds=0.1, metrics_port=port)
    await copied(service)

    async def metrics() -> dict[str, float]:
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        return {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if line[0] != "#"}

    assert 0 <= (await metrics())["headgate_counters_copy_age_seconds"] < 60
    assert (await metrics())["headgate_counters_missing_shards"] == 0
    await redis.flushall()

    async def put_back() -> bool:
        return (await metrics())["headgate_counters_put_back_projects_total"] == 1

    await until(put_back)


async def is_(service, name: str, status: int) -> bool:
    return await health(service, name) == status


async def test_emptied_under_load_the_quota_gives_no_more_than_what_was_not_copied(
    service, redis, start_service, short_dir
):
    """Two services, clients that repeat what was not confirmed, and three losses."""
    limit, acknowledged, numbers = 1200, 0, itertools.count()
    with sqlite3.connect(service.config.database_url.partition("///")[2]) as database:
        database.execute("UPDATE projects SET monthly_limit = ?, change = change + 1", [limit])
        database.execute("UPDATE changes SET value = value + 1")
    services = [
        await start_service(copy_seconds=0.1, admin_socket=short_dir / f"{n}.sock", ready_file=short_dir / f"{n}.json")
        for n in range(2)
    ]

    async def client(service) -> None:
        nonlocal acknowledged
        for event_id in map(str, numbers):
            while True:
                try:
                    await send(service, event_id)
                except grpc.aio.AioRpcError as error:
                    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                        return
                    assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - the other cause to go on
                    await asyncio.sleep(0.02)
                else:
                    acknowledged += 1
                    break

    use = shard_keys(0).project(service.project_id).use
    month = f"m{datetime.now(UTC):%Y%m}"
    clients = [asyncio.create_task(client(one)) for one in services for _ in range(4)]
    not_copied = 0
    for loss in range(3):
        await until(partial(over, lambda: acknowledged, (loss + 1) * 250))
        copied_before = in_sql(service, "SELECT events FROM months")
        async with redis.pipeline(transaction=True) as step:
            step.hget(use, month)
            step.flushall()
            counted, _ = await step.execute()
        not_copied += int(counted) - copied_before
        await until(partial(redis.hexists, use, month))
        assert int(await redis.hget(use, month)) >= copied_before > 0
    await asyncio.gather(*clients)
    assert limit <= acknowledged <= limit + not_copied

    async def all_copied() -> bool:
        return in_sql(service, "SELECT events FROM months") == limit

    await until(all_copied)
    assert int(await redis.hget(use, month)) == limit
    # No acknowledged event is counted twice.
    assert in_sql(service, "SELECT sum(events) FROM hours WHERE outcome = 'accepted'") == limit


async def over(look, bound: int) -> bool:
    return look() > bound
