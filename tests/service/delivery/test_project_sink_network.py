"""Names of projects' own targets: whose name server is slow waits alone."""

import asyncio
import socket
import threading

import pytest
from headgate_service.delivery import project_sink_network as project_sink_resolver
from headgate_service.delivery.project_sink_network import ProjectSinkResolvers


@pytest.fixture
def slow(monkeypatch):
    """A name server of `slow.example` that answers when it is told to."""
    told, real = threading.Event(), socket.getaddrinfo

    def getaddrinfo(host, *arguments):
        if host == "slow.example":
            told.wait(20)
            host = "127.0.0.2"
        return real(host, *arguments)

    monkeypatch.setattr(project_sink_resolver.socket, "getaddrinfo", getaddrinfo)
    yield told
    told.set()


async def test_a_slow_name_server_keeps_only_its_own_project_waiting(slow, monkeypatch):
    monkeypatch.setattr(project_sink_resolver, "SECONDS", 0.2)
    resolvers = ProjectSinkResolvers()
    own, other = resolvers.of("a"), resolvers.of("b")
    assert resolvers.of("a") is own
    for _ in range(2 * project_sink_resolver.THREADS):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await own.resolve("slow.example", 443)
    with pytest.raises(TimeoutError):
        await own.resolve("127.0.0.1", 443)
    (found,) = await other.resolve("127.0.0.1", 443)
    assert (found["host"], found["port"]) == ("127.0.0.1", 443)
    slow.set()
    monkeypatch.setattr(project_sink_resolver, "SECONDS", 20)
    (found,) = await own.resolve("127.0.0.1", 443)
    assert found["host"] == "127.0.0.1"
    with pytest.raises(OSError, match=r"."):
        await own.resolve("no such name.example", 443)
    resolvers.close()
