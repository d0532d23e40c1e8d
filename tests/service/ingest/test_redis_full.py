"""A Redis that has no room left is not ready, and is again once it has."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize(("setting", "refusing"), [("maxmemory", "100kb"), ("min-replicas-to-write", "1")])
async def test_readiness_is_the_ability_to_write(service, redis, setting, refusing):
    health = health_pb2_grpc.HealthStub(grpc.aio.insecure_channel(service.address))

    async def reach(part: str, status: int) -> None:
        async with asyncio.timeout(20):
            while (await health.Check(health_pb2.HealthCheckRequest(service=part))).status != status:
                await asyncio.sleep(0.05)

    await reach("headgate.v1.IngestService", SERVING)
    before = (await redis.config_get(setting))[setting]
    await redis.config_set(setting, refusing)
    try:
        await reach("redis", NOT_SERVING)
        await reach("headgate.v1.IngestService", NOT_SERVING)
        await reach("", NOT_SERVING)
    finally:
        await redis.config_set(setting, before)
    await reach("headgate.v1.IngestService", SERVING)
    await reach("redis", SERVING)


async def test_asking_writes_nothing(service, redis):
    before = (await redis.info("persistence"))["aof_current_size"]
    calls = (await redis.info("commandstats")).get("cmdstat_setrange", {}).get("calls", 0)
    while (await redis.info("commandstats")).get("cmdstat_setrange", {}).get("calls", 0) < calls + 3:
        await asyncio.sleep(0.05)
    assert not await redis.exists("headgate:probe")
    assert (await redis.info("persistence"))["aof_current_size"] - before < 4096
