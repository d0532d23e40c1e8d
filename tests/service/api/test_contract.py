"""Gateways of other revisions, over a real server: what is not understood is never an acceptance."""

import grpc
import pytest
from headgate.v1 import account_service_pb2, event_pb2, outcome_pb2
from headgate.v1.ingest_service_pb2 import GatheredRequest, IngestGatheredRequest, IngestGatheredResponse
from headgate.v1.log_pb2 import LogEntry
from headgate_gateway.ingest import client as gateway
from headgate_service.auth.contract import CONTRACT, SERVED

TOKEN = ("headgate-gateway-token", "gateway-token-of-the-tests")
FIELD_5, FIELD_99 = b"\x2a", b"\x9a\x06"


def of_contract(version: str) -> list[tuple[str, str]]:
    return [TOKEN, ("headgate-contract", version)]


def stored_by(service) -> GatheredRequest:
    """As contract 1 has it: the API by its number alone."""
    events = [event_pb2.Event(name="a", distinct_id="u"), event_pb2.Event(name="b", distinct_id="u")]
    return GatheredRequest(
        dialect=event_pb2.DIALECT_REALANALYTICS, credential=service.keys["public"], entry=LogEntry(events=events)
    )


def test_both_sides_speak_the_same() -> None:
    assert gateway.CONTRACT == CONTRACT
    assert SERVED == (CONTRACT - 1, CONTRACT)


@pytest.mark.parametrize("metadata", [[TOKEN], of_contract("1"), of_contract("2")], ids=["unnamed", "before", "this"])
async def test_this_version_and_the_one_before_are_served(service, metadata) -> None:
    response = await service.ingest.IngestGathered(
        IngestGatheredRequest(requests=[stored_by(service)]), metadata=metadata
    )
    (answer,) = response.answers
    assert (response.contract, answer.events) == (CONTRACT, 2)
    assert answer.response.receipt


@pytest.mark.parametrize("version", ["0", "3", "99", "x"])
async def test_others_are_refused_and_named(service, version) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.ingest.IngestGathered(
            IngestGatheredRequest(requests=[stored_by(service)]), metadata=of_contract(version)
        )
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert f"contract {version}" in caught.value.details()


async def test_calls_for_people_are_refused_alike(service) -> None:
    attempt = account_service_pb2.LoginRequest(email="a@b.example", password="wrong-password")
    for version, code in (("1", grpc.StatusCode.UNAUTHENTICATED), ("3", grpc.StatusCode.FAILED_PRECONDITION)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.accounts.Login(attempt, metadata=of_contract(version))
        assert caught.value.code() == code


@pytest.mark.parametrize("field", [FIELD_5, FIELD_99], ids=["older", "newer"])
async def test_events_in_a_field_of_another_revision_are_not_accepted(service, field) -> None:
    request = stored_by(service)
    event = request.entry.events[0].SerializeToString()
    request.ClearField("entry")
    encoded = request.SerializeToString() + field + bytes([len(event)]) + event
    call = service.channel.unary_unary(
        gateway.METHOD,
        request_serializer=lambda message: message,
        response_deserializer=IngestGatheredResponse.FromString,
    )
    response = await call(b"\x0a" + bytes([len(encoded)]) + encoded, metadata=[TOKEN])
    (answer,) = response.answers
    assert answer.refusal.cause == outcome_pb2.CAUSE_UNAVAILABLE


async def test_a_request_without_events_says_that_it_had_none(service) -> None:
    request = stored_by(service)
    request.ClearField("entry")
    response = await service.ingest.IngestGathered(IngestGatheredRequest(requests=[request]), metadata=[TOKEN])
    (answer,) = response.answers
    assert (answer.HasField("events"), answer.events, answer.response.receipt) == (True, 0, "")
