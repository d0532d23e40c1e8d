"""What a request leaves behind under its idempotency key. Everything real."""

from typing import Any

import pytest
from headgate.v1 import outcome_pb2
from headgate.v1.event_pb2 import Event
from headgate.v1.ingest_service_pb2 import GatheredRequest, IngestGatheredRequest
from headgate.v1.log_pb2 import LogEntry
from headgate_dialects.builtin.codcompass import Codcompass
from headgate_dialects.builtin.xaiku import Xaiku

TOKEN = "gateway-token-of-the-tests"


async def gathered(service: Any, *events: Event, **request: Any) -> Any:
    one = GatheredRequest(entry=LogEntry(events=events), **request)
    answers = await service.ingest.IngestGathered(
        IngestGatheredRequest(requests=[one]), metadata=[("headgate-gateway-token", TOKEN)]
    )
    return answers.answers[0]


@pytest.mark.parametrize("dialect", [Codcompass, Xaiku])
async def test_a_request_without_events_leaves_no_key_behind(service, redis, dialect):
    credential = "" if dialect is Codcompass else service.keys["public"]
    before = await redis.dbsize()
    for number in range(20):
        sent = {"access": dialect.api.access, "credential": credential, "body_hash": b"h" * 32}
        sent["idempotency_key"] = f"k{number}"
        answer = await gathered(service, **sent)
        assert answer.HasField("response")
        assert not answer.response.receipt
    assert await redis.dbsize() == before
    # A key of a request that was stored is still told from another request's.
    stored = {"access": dialect.api.access, "credential": credential, "idempotency_key": "k0", "body_hash": b"s" * 32}
    assert (await gathered(service, Event(name="view"), **stored)).response.receipt
    empty = await gathered(service, **{**stored, "body_hash": b"h" * 32})
    assert empty.refusal.cause == outcome_pb2.CAUSE_IDEMPOTENCY_MISMATCH


async def test_refused_events_beside_none_that_are_taken_leave_no_key_behind(service, redis):
    before = await redis.dbsize()
    for _ in range(2):
        answer = await gathered(
            service,
            access=Codcompass.api.access,
            idempotency_key="k",
            body_hash=b"h" * 32,
            refused=3,
            refused_reason=outcome_pb2.REASON_INVALID,
        )
        assert answer.HasField("response")
        assert not answer.response.replayed
    assert await redis.dbsize() == before
