"""What a request costs the ingest core, counted in calls of Python functions: a regression shows on any machine.

Redis is not there: how often its answers wake the reader is not the same each time.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import pytest
from headgate.v1 import event_pb2, log_pb2
from headgate.v1.ingest_service_pb2 import ApiAccess, GatheredAnswer, GatheredRequest
from headgate_dialects.builtin.realanalytics import RealAnalytics
from headgate_service.api.gathered_requests import GatheredRequests
from headgate_service.config import PublicRoute, RateLimits
from headgate_service.directory.directory import Directory
from headgate_service.directory.project import Project
from headgate_service.directory.snapshot import Changes, Credential, KnownKey
from headgate_service.ingest.authentication import Authentication
from headgate_service.ingest.pipeline import Ingest
from headgate_service.ingest.refusal_ledger import RefusalLedger
from headgate_service.log.append import Appender
from headgate_service.model.key import KeyKind, key_hash
from headgate_service.model.rate_limit import RateLimit
from headgate_service.model.receipt import ReceiptMaker

KEY = "pk_live_x"
REQUESTS = 20


class OneProject:
    async def load(self, since: int) -> Changes:
        project = Project("prj_a", "default", "default", "org_1", 3, 10**9, RateLimit(10**8, 60_000))
        credential = Credential("key_1", KeyKind.PUBLIC, project.id, "org_1", frozenset())
        known = KnownKey("key_1", key_hash(KEY), credential)
        return Changes(since, 1, (("org_1", False),), ((project, False),), (known,))


class TakesAll:
    """A RedisPipeline whose Redis takes every request of one event each."""

    def execute(self, *command: bytes | str | int) -> "asyncio.Future[Any]":
        requests = int(command[2]) - 17
        replies = asyncio.get_running_loop().create_future()
        replies.set_result([[b"ok", int(time.time() * 1000), 5, 1, b"", 3, 50_000, 77, 0]] * requests)
        return replies


class AnyEpoch:
    def name(self, shard: int) -> str:
        return "epoch"

    def lost(self, shard: int) -> None:
        raise AssertionError(shard)


@pytest.fixture
async def core() -> GatheredRequests:
    pipeline: Any = TakesAll()
    people: Any = None
    directory = Directory(OneProject(), clock=time.monotonic)
    await directory.refresh()

    def now() -> datetime:
        return datetime.now(UTC)

    return GatheredRequests(
        Ingest(
            Authentication(directory, PublicRoute("default"), people),
            Appender(pipeline, lambda project: (), 10**9, now, AnyEpoch()),
            ReceiptMaker(b"x" * 32),
            RefusalLedger(pipeline, now, AnyEpoch()),
            RateLimits(keys=RateLimit(10**8, 60_000)),
            lambda project, events: (),
        )
    )


async def test_a_request_calls_few_functions(core: GatheredRequests) -> None:
    def request() -> GatheredRequest:
        entry = log_pb2.LogEntry(events=[event_pb2.Event(name="x", distinct_id="u", properties_json=b'{"a":1}')])
        return GatheredRequest(access=RealAnalytics.api.access, credential=KEY, entry=entry)

    async def gathered() -> list[GatheredAnswer]:
        return await asyncio.gather(*(core.answer(request()) for _ in range(REQUESTS)))

    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call" and "headgate_service" in frame.f_code.co_filename

    await gathered()
    sys.setprofile(count)
    try:
        answers = await gathered()
    finally:
        sys.setprofile(None)
    assert all(answer.response.receipt for answer in answers)
    assert 40 < calls / REQUESTS <= 54


async def test_a_request_that_cannot_be_understood_is_refused_alone(core: GatheredRequests) -> None:
    def request(access: ApiAccess) -> GatheredRequest:
        entry = log_pb2.LogEntry(events=[event_pb2.Event(name="x", distinct_id="u")])
        return GatheredRequest(access=access, credential=KEY, entry=entry)

    known = RealAnalytics.api.access
    requests = [request(ApiAccess(name="?")), *(request(known) for _ in range(600)), request(ApiAccess())]
    answers = await asyncio.gather(*map(core.answer, requests))
    assert [answer.WhichOneof("answer") for answer in (answers[0], answers[-1])] == ["refusal", "refusal"]
    assert all(answer.response.receipt for answer in answers[1:-1])
