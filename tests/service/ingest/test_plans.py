"""Plans that change while services run."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable

import grpc
import pytest
from headgate.v1 import event_pb2, outcome_pb2
from headgate.v1.ingest_service_pb2 import (
    GatheredAnswer,
    GatheredRequest,
    IngestEventsRequest,
    IngestGatheredRequest,
)
from headgate.v1.log_pb2 import LogEntry
from headgate_dialects.builtin.xaiku import Xaiku
from headgate_service.control_db.database import ControlDb
from headgate_service.model.rate_limit import RateLimit
from headgate_service.projects.projects import Projects

GATEWAY = [("headgate-gateway-token", "gateway-token-of-the-tests")]
LIVE_SECONDS = 5


@pytest.fixture
async def projects(short_dir):
    database = ControlDb(f"sqlite+aiosqlite:///{short_dir}/control.db")
    yield Projects(database, random=secrets.token_bytes, now_ms=lambda: time.time_ns() // 1_000_000)
    await database.close()


async def send(service, count: int = 1, dry_run: bool = False, key: str = "public") -> GatheredAnswer:
    request = GatheredRequest(
        access=Xaiku.api.access,
        credential=service.keys[key],
        entry=LogEntry(events=[event_pb2.Event(name="e") for _ in range(count)]),
        dry_run=dry_run,
    )
    answer = await service.ingest.IngestGathered(IngestGatheredRequest(requests=[request]), metadata=GATEWAY)
    return answer.answers[0]


def limits(answer: GatheredAnswer) -> outcome_pb2.LimitState:
    return answer.response.limits if answer.WhichOneof("answer") == "response" else answer.limits


async def live(services, holds: Callable[[GatheredAnswer], bool]) -> None:
    """Waits until every service obeys, at most as long as a change may take."""
    async with asyncio.timeout(LIVE_SECONDS):
        for service in services:
            while not holds(await send(service, dry_run=True)):
                await asyncio.sleep(0.05)


@pytest.fixture
async def services(start_service: Callable[..., Awaitable[object]], short_dir):
    one = await start_service()
    return one, await start_service(admin_socket=short_dir / "other.sock", ready_file=short_dir / "other.json")


async def test_a_monthly_limit_comes_changes_and_goes_in_every_service(services, projects):
    one, other = services
    assert not (await send(one, 4)).response.limits.HasField("month")

    await projects.set_plan("default", monthly_limit=6)
    await live(services, lambda answer: limits(answer).month.limit == 6)
    assert limits(await send(other, 2)).month.used == 6
    refused = await send(one)
    assert refused.refusal.cause == outcome_pb2.CAUSE_QUOTA_EXCEEDED
    assert (refused.limits.month.limit, refused.limits.month.used) == (6, 6)

    # Below what is used: nothing is taken back, and nothing more is taken.
    await projects.set_plan("default", monthly_limit=3)
    await live(services, lambda answer: limits(answer).month.limit == 3)
    for service in services:
        assert (await send(service)).refusal.used == 6

    await projects.set_plan("default", monthly_limit=7)
    await live(services, lambda answer: limits(answer).month.limit == 7)
    assert limits(await send(other)).month.used == 7
    assert (await send(one)).refusal.cause == outcome_pb2.CAUSE_QUOTA_EXCEEDED

    await projects.set_plan("default", monthly_limit=None)
    await live(services, lambda answer: not limits(answer).HasField("month"))
    for service in services:
        assert (await send(service, 100)).WhichOneof("answer") == "response"


async def test_a_rate_limit_changes_with_its_window_in_every_service(services, projects):
    one, other = services
    await projects.set_plan("default", rate_limit=RateLimit(40, 86_400_000))
    await live(services, lambda answer: limits(answer).rate.limit == 40)
    # The first request of another key begins a window of a day.
    assert limits(await send(one, key="test")).rate.reset.seconds > 60
    used = limits(await send(one)).rate.used
    assert limits(await send(other)).rate.used == used + 1

    # The same window with less room: what was used in it counts.
    await projects.set_plan("default", rate_limit=RateLimit(1, 86_400_000))
    await live(services, lambda answer: answer.refusal.cause == outcome_pb2.CAUSE_RATE_LIMITED)
    assert limits(await send(one)).rate.length.seconds == 86_400

    # A shorter window does not wait for the end of the long one.
    await projects.set_plan("default", rate_limit=RateLimit(500, 60_000))
    await live(services, lambda answer: answer.WhichOneof("answer") == "response" and limits(answer).rate.limit == 500)
    for service, key in ((one, "public"), (other, "test")):
        rate = limits(await send(service, key=key)).rate
        assert rate.length.seconds == 60
        assert 0 < rate.reset.ToMilliseconds() <= 60_000

    await projects.set_plan("default", rate_limit=None)
    await live(services, lambda answer: limits(answer).rate.limit == 1000)


async def test_a_plan_limits_grpc_callers_too(services, projects):
    one, other = services
    await projects.set_plan("default", rate_limit=RateLimit(2, 60_000))
    request = IngestEventsRequest(events=[event_pb2.Event(name="e")])
    bearer = [("authorization", f"Bearer {one.keys['secret']}")]

    async def refused(service) -> bool:
        try:
            await service.ingest.IngestEvents(request, metadata=bearer)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        return False

    async with asyncio.timeout(LIVE_SECONDS):
        while not await refused(one):
            await asyncio.sleep(0.05)
        while not await refused(other):
            await asyncio.sleep(0.05)
