"""What tests of the gRPC port share."""

import socket

import httpx
import pytest


@pytest.fixture
async def metrics(start_service):
    """A service, and what shows its metrics."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    service = await start_service(metrics_port=port)

    async def read() -> dict[str, float]:
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        return {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if line[0] != "#"}

    return service, read
