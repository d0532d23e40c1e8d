"""What the metrics tell of calls."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headgate.v1 import event_pb2
from headgate.v1.ingest_service_pb2 import IngestEventsRequest, StreamEventsRequest

INGEST, STREAM = "headgate.v1.IngestService/IngestEvents", "headgate.v1.IngestService/StreamEvents"
GOOD, BAD = IngestEventsRequest(events=[event_pb2.Event(name="a")]), IngestEventsRequest()


async def test_calls_are_counted_by_method_and_code_and_timed(metrics):
    service, read = metrics
    for request in (GOOD, GOOD, BAD):
        await service.ingest.IngestEvents(request, metadata=service.bearer()).code()
    await service.ingest.IngestEvents(GOOD).code()
    async for _ in service.ingest.StreamEvents(iter([StreamEventsRequest(request=GOOD)]), metadata=service.bearer()):
        pass
    await health_pb2_grpc.HealthStub(service.channel).Check(health_pb2.HealthCheckRequest())
    told = await read()
    calls = {
        (method, code): told.get(f'headgate_grpc_calls_total{{code="{code}",method="{method}"}}')
        for method in (INGEST, STREAM, "grpc.health.v1.Health/Check")
        for code in ("OK", "INVALID_ARGUMENT", "UNAUTHENTICATED")
    }
    assert {key: count for key, count in calls.items() if count} == {
        (INGEST, "OK"): 2,
        (INGEST, "INVALID_ARGUMENT"): 1,
        (INGEST, "UNAUTHENTICATED"): 1,
        (STREAM, "OK"): 1,
        ("grpc.health.v1.Health/Check", "OK"): 1,
    }
    assert told[f'headgate_grpc_call_seconds_count{{method="{INGEST}"}}'] == 4


async def test_open_streams_and_refusals_by_cause_are_counted(metrics):
    service, read = metrics
    stream = service.ingest.StreamEvents(metadata=service.bearer())
    for request in (GOOD, BAD, BAD):
        await stream.write(StreamEventsRequest(request=request))
        await stream.read()
    await service.ingest.IngestEvents(GOOD).code()
    told = await read()
    assert told[f'headgate_grpc_open_streams{{method="{STREAM}"}}'] == 1
    assert told['headgate_grpc_refusals_total{cause="INVALID"}'] == 2
    assert told['headgate_grpc_refusals_total{cause="CREDENTIAL_MISSING"}'] == 1
    stream.cancel()
    with pytest.raises(BaseException):  # noqa: B017, PT011 - asyncio's or grpcio's word for it
        await stream.read()
    while (await read())[f'headgate_grpc_open_streams{{method="{STREAM}"}}']:
        pass
    assert (await read())[f'headgate_grpc_calls_total{{code="CANCELLED",method="{STREAM}"}}'] == 1


async def test_a_call_with_a_nonsense_method_is_not_counted(metrics):
    service, read = metrics
    assert await service.channel.unary_unary("/headgate.v1.IngestService/Nonsense")(b"").code() == (
        grpc.StatusCode.UNIMPLEMENTED
    )
    assert not any("Nonsense" in name for name in await read())
