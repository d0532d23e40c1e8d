"""What an operator's tools ask of the gRPC port."""

import asyncio

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from headgate.v1 import event_pb2
from headgate.v1.ingest_service_pb2 import IngestEventsRequest, StreamEventsRequest

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def status(service, name: str) -> int:
    stub = health_pb2_grpc.HealthStub(service.channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status


async def becomes(service, name: str, wanted: int) -> None:
    async with asyncio.timeout(10):
        while await status(service, name) != wanted:
            await asyncio.sleep(0.05)


async def test_every_part_is_healthy_where_it_is(service):
    for name in ("", "headgate.v1.IngestService", "redis", "counters", "control-db"):
        await becomes(service, name, SERVING)


async def test_without_redis_the_service_says_which_part_is_down(start_service, tmp_path):
    service = await start_service(redis_url=f"unix://{tmp_path}/none.sock")
    for name, wanted in (("redis", NOT_SERVING), ("", NOT_SERVING), ("control-db", SERVING)):
        await becomes(service, name, wanted)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_the_services(service, version):
    call = service.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    async for answer in call(iter([reflection_pb2.ServerReflectionRequest(list_services="")])):
        names = {found.name for found in answer.list_services_response.service}
    assert {"headgate.v1.IngestService", "headgate.v1.ReceiptService", "grpc.health.v1.Health"} <= names
    assert "headgate.v1.AdminService" not in names


async def test_each_service_has_a_health_of_its_name(service):
    stub = reflection_pb2_grpc.ServerReflectionStub(service.channel)
    listed = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    answer = await anext(aiter(listed))
    ours = {one.name for one in answer.list_services_response.service if one.name.startswith("headgate.")}
    assert len(ours) > 5
    for name in ours:
        await becomes(service, name, SERVING)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await status(service, "headgate.v1.AdminService")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def stream(service):
    """A stream of events that stays open, and what sends a message on it and waits for the answer."""
    call = service.ingest.StreamEvents(metadata=service.bearer())

    async def ask(name: str):
        await call.write(StreamEventsRequest(request=IngestEventsRequest(events=[event_pb2.Event(name=name)])))
        return await call.read()

    return call, ask


def reason(error: grpc.aio.AioRpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    assert rpc_status.from_call(error).details[0].Unpack(info)
    return info.reason


async def test_open_streams_of_anybody_do_not_delay_the_end(start_service):
    service = await start_service(drain_seconds=300)
    events, ask = stream(service)
    assert (await ask("a")).HasField("response")
    watch = health_pb2_grpc.HealthStub(service.channel).Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == SERVING
    reflected = reflection_pb2_grpc.ServerReflectionStub(service.channel).ServerReflectionInfo()
    await reflected.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    await reflected.read()

    service.stopped.set()
    async with asyncio.timeout(60):
        await service.task
    assert (await watch.read()).status == NOT_SERVING
    for call in (events, watch, reflected):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert (caught.value.code(), reason(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "service_stopping")


async def test_the_listener_accepts_until_the_calls_under_way_have_ended(start_service, redis):
    service = await start_service(drain_seconds=300)
    _, ask = stream(service)
    await ask("a")
    # Redis confirms nothing until it goes on, so that the message stays under way.
    await redis.client_pause(60_000, all=False)
    under_way = asyncio.create_task(ask("b"))
    await asyncio.sleep(0.2)
    service.stopped.set()
    await becomes(service, "", NOT_SERVING)
    async with grpc.aio.insecure_channel(service.address, options=[("grpc.use_local_subchannel_pool", 1)]) as another:
        answer = await health_pb2_grpc.HealthStub(another).Check(health_pb2.HealthCheckRequest())
    assert answer.status == NOT_SERVING
    assert not service.task.done()
    await redis.execute_command("CLIENT", "UNPAUSE")
    assert (await under_way).HasField("response")
    async with asyncio.timeout(60):
        await service.task


async def test_the_admin_service_is_not_on_the_port(service):
    call = service.channel.unary_unary("/headgate.v1.AdminService/CreateProject")
    assert await call(b"").code() == grpc.StatusCode.UNIMPLEMENTED


async def test_the_admin_socket_is_the_owners(service):
    assert service.config.admin_socket.stat().st_mode & 0o777 == 0o600
    assert service.config.first_start_file.stat().st_mode & 0o777 == 0o600
