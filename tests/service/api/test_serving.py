"""What an operator's tools ask of the gRPC port."""

import asyncio

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

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


async def test_reflection_lists_the_services(service):
    stub = reflection_pb2_grpc.ServerReflectionStub(service.channel)

    async def requests():
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    async for answer in stub.ServerReflectionInfo(requests()):
        names = {found.name for found in answer.list_services_response.service}
    assert {"headgate.v1.IngestService", "headgate.v1.ReceiptService", "grpc.health.v1.Health"} <= names
    assert "headgate.v1.AdminService" not in names


async def test_the_admin_service_is_not_on_the_port(service):
    call = service.channel.unary_unary("/headgate.v1.AdminService/CreateProject")
    assert await call(b"").code() == grpc.StatusCode.UNIMPLEMENTED


async def test_the_admin_socket_is_the_owners(service):
    assert service.config.admin_socket.stat().st_mode & 0o777 == 0o600
    assert service.config.first_start_file.stat().st_mode & 0o777 == 0o600
