"""Messages that are too large, too full or no protobuf, as the gRPC port meets them, over a real connection."""

import logging

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from headgate.v1 import event_pb2, outcome_pb2
from headgate.v1.ingest_service_pb2 import (
    GatheredRequest,
    IngestEventsRequest,
    IngestEventsResponse,
    IngestGatheredRequest,
    IngestGatheredResponse,
    StreamEventsRequest,
    StreamEventsResponse,
)
from headgate.v1.log_pb2 import LogEntry
from headgate_dialects.builtin.realanalytics import RealAnalytics
from headgate_service.config import RateLimits
from headgate_service.log.reader import read_entries
from headgate_service.model.rate_limit import RateLimit
from headgate_service.redis.keys import shard_keys

INGEST, STREAM, GATHERED = (
    f"/headgate.v1.IngestService/{name}" for name in ("IngestEvents", "StreamEvents", "IngestGathered")
)
MIB = 1024 * 1024
NO_EVENTS_IN_28_MIB = b"\x0a\x00" * (14 * MIB)
CORRUPT = b"\x0a\xff"
GOOD = IngestEventsRequest(events=[event_pb2.Event(name="good")]).SerializeToString()
GATEWAY = [("headgate-gateway-token", "gateway-token-of-the-tests")]
NONSENSE = [("authorization", "Bearer sk_live_nonsense")]


async def ends(call) -> tuple[grpc.StatusCode, str]:
    """With which code and ErrorInfo a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    assert status is not None, caught.value
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return caught.value.code(), info.reason


async def stored(redis, project_id: str) -> list[event_pb2.Event]:
    for shard in range(64):
        entries = await read_entries(redis, shard_keys(shard).project(project_id), "0-0", 1000)
        if entries:
            return [event for entry in entries for event in entry.events()]
    return []


async def streamed(service, *messages: bytes) -> list[StreamEventsResponse]:
    stream = service.channel.stream_stream(STREAM, response_deserializer=StreamEventsResponse.FromString)
    return [answer async for answer in stream(iter(messages), metadata=service.bearer())]


@pytest.mark.parametrize("method", [INGEST, STREAM])
@pytest.mark.parametrize("metadata", [[], NONSENSE], ids=["none", "nonsense"])
async def test_a_credential_is_looked_at_before_any_message_has_come(service, method, metadata):
    call = service.channel.stream_unary(method)(metadata=metadata)
    assert await ends(call) == (
        grpc.StatusCode.UNAUTHENTICATED,
        "CREDENTIAL_INVALID" if metadata else "CREDENTIAL_MISSING",
    )


async def test_a_gateways_token_is_looked_at_before_any_message_has_come(service):
    call = service.channel.stream_unary(GATHERED)(metadata=[("headgate-gateway-token", "nonsense")])
    assert await call.code() == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("metadata", [[], NONSENSE], ids=["none", "nonsense"])
async def test_28_mib_of_empty_events_without_a_credential_are_not_read(metrics, metadata):
    service, read = metrics
    call = service.channel.unary_unary(INGEST)
    assert (await ends(call(NO_EVENTS_IN_28_MIB, metadata=metadata)))[0] == grpc.StatusCode.UNAUTHENTICATED
    assert (await read())["headgate_grpc_read_bytes_total"] == 0


@pytest.mark.parametrize("events", [3 * MIB, 2 * MIB, 1_001], ids=["6 MiB", "4 MiB", "1001 events"])
async def test_very_many_empty_events_are_too_large(service, events):
    call = service.channel.unary_unary(INGEST)(b"\x0a\x00" * events, metadata=service.bearer())
    assert await ends(call) == (grpc.StatusCode.INVALID_ARGUMENT, "TOO_LARGE")


async def test_the_transport_itself_refuses_what_is_over_8_mib(service):
    call = service.channel.unary_unary(INGEST)(NO_EVENTS_IN_28_MIB, metadata=service.bearer())
    assert await call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("message", [b"\x0a\x00" * 2000, b"\x8a\x00\x00" * 20_000], ids=["usual", "long tags"])
async def test_very_many_events_in_a_stream_are_a_refusal_of_their_message(service, redis, message):
    full = StreamEventsRequest().SerializeToString() + b"\x0a" + _varint(len(message)) + message
    good = b"\x0a" + _varint(len(GOOD)) + GOOD
    answers = await streamed(service, full, good)
    assert [answer.refusal.cause for answer in answers] == [outcome_pb2.CAUSE_TOO_LARGE, outcome_pb2.CAUSE_UNSPECIFIED]
    assert [event.name for event in await stored(redis, service.project_id)] == ["good"]


@pytest.mark.parametrize("path", [INGEST, GATHERED, "/headgate.v1.AccountService/Login"])
async def test_what_is_no_protobuf_is_an_invalid_argument_and_counted(metrics, caplog, path):
    service, read = metrics
    call = service.channel.unary_unary(path)
    with caplog.at_level(logging.WARNING):
        code, reason = await ends(call(CORRUPT, metadata=[*service.bearer(), *GATEWAY]))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID" if path == INGEST else "invalid_message")
    assert caplog.records == []
    assert (await read())["headgate_grpc_corrupt_messages_total"] == 1


@pytest.mark.parametrize("corrupt", [CORRUPT, b"\x0a\x02" + CORRUPT], ids=["outside", "inside"])
async def test_what_is_no_protobuf_is_refused_in_a_stream_which_goes_on(metrics, redis, caplog, corrupt):
    service, read = metrics
    good = b"\x0a" + _varint(len(GOOD)) + GOOD
    with caplog.at_level(logging.WARNING):
        refused, taken = await streamed(service, corrupt, good)
    assert refused.refusal.cause == outcome_pb2.CAUSE_INVALID
    assert taken.response.results[0].outcome == outcome_pb2.OUTCOME_ACCEPTED
    assert [event.name for event in await stored(redis, service.project_id)] == ["good"]
    assert caplog.records == []
    assert (await read())["headgate_grpc_corrupt_messages_total"] == 1


async def test_text_that_is_not_utf_8_is_replaced(metrics, redis):
    service, read = metrics
    event = event_pb2.Event(name="a~", event_id="id", user_id="u~")
    event.properties.update({"key~": ["value~", {"deep": "~"}], "n": 1})
    event.page.href = "https://x/~"
    message = IngestEventsRequest(events=[event]).SerializeToString().replace(b"~", b"\xff")
    call = service.channel.unary_unary(INGEST, response_deserializer=IngestEventsResponse.FromString)
    response = await call(message, metadata=service.bearer())
    assert response.results[0].outcome == outcome_pb2.OUTCOME_ACCEPTED
    (kept,) = await stored(redis, service.project_id)
    assert (kept.name, kept.user_id, kept.page.href) == ("a\ufffd", "u\ufffd", "https://x/\ufffd")
    assert kept.properties_json.decode() in (
        '{"key\ufffd":["value\ufffd",{"deep":"\ufffd"}],"n":1.0}',
        '{"n":1.0,"key\ufffd":["value\ufffd",{"deep":"\ufffd"}]}',
    )
    assert (await read())["headgate_grpc_mended_messages_total"] == 1


async def test_no_other_method_reads_more_than_4_mib(service):
    call = service.channel.unary_unary("/headgate.v1.AccountService/Login")
    assert await ends(call(b"\x0a\x01a" * (2 * MIB))) == (grpc.StatusCode.INVALID_ARGUMENT, "message_too_large")


async def gathered(service, megabytes: int) -> IngestGatheredResponse:
    """What a gateway hears of a request of four large events, which it sends in parts of 4 MiB."""
    big = event_pb2.Event(name="big", properties_json=b'{"s":"' + b"a" * (megabytes * MIB // 4) + b'"}')
    request = GatheredRequest(
        access=RealAnalytics.api.access,
        credential=service.keys["public"],
        entry=LogEntry(events=[big] * 4),
        dry_run=True,
    )
    message = IngestGatheredRequest(requests=[request]).SerializeToString()
    parts = [message[start : start + 4 * MIB] for start in range(0, len(message), 4 * MIB)]
    # The answer to a dry run is as large.
    async with grpc.aio.insecure_channel(service.address, options=[("grpc.max_receive_message_length", -1)]) as channel:
        call = channel.stream_unary(GATHERED, response_deserializer=IngestGatheredResponse.FromString)
        return await call(iter(parts), metadata=GATEWAY)


async def test_a_gateway_may_send_28_mib_in_parts(service):
    (answer,) = (await gathered(service, 28)).answers
    assert answer.HasField("response")


async def test_a_gateway_may_send_no_more_than_32_mib(service):
    assert await ends(gathered(service, 33)) == (grpc.StatusCode.INVALID_ARGUMENT, "message_too_large")


async def test_an_event_id_of_over_256_bytes_is_refused_and_not_told_again(service, redis):
    ids = ["a" * 256, "a" * 257, "\u00e9" * 128, "\u00e9" * 129, "\U0001f4a9" * 64, "\U0001f4a9" * 65]
    events = [event_pb2.Event(name=str(place), event_id=event_id) for place, event_id in enumerate(ids)]
    call = service.channel.unary_unary(INGEST, response_deserializer=IngestEventsResponse.FromString)
    response = await call(IngestEventsRequest(events=events).SerializeToString(), metadata=service.bearer())
    assert [(one.field, one.event_id) for one in response.results] == [
        ("", ids[place]) if place % 2 == 0 else ("event_id", "") for place in range(6)
    ]
    assert [event.name for event in await stored(redis, service.project_id)] == ["0", "2", "4"]


async def test_an_answer_fits_into_4_mib_whatever_is_wrong_with_the_events(service):
    events = [event_pb2.Event(event_id="a" * 4_000)] * 1_000
    call = service.channel.unary_unary(INGEST, response_deserializer=IngestEventsResponse.FromString)
    response = await call(IngestEventsRequest(events=events).SerializeToString(), metadata=service.bearer())
    assert response.ByteSize() < 4 * MIB
    assert {one.field for one in response.results} == {"name"}


async def test_a_limit_that_time_lifts_says_when_to_retry_in_grpcs_own_words(start_service):
    service = await start_service(limits=RateLimits(grpc=RateLimit(1, 60_000)))
    call = service.channel.unary_unary(INGEST)
    await call(GOOD, metadata=service.bearer())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(GOOD, metadata=service.bearer())
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    pushback = dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"]
    assert 0 < int(pushback) <= 60_000


def _varint(number: int) -> bytes:
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])
