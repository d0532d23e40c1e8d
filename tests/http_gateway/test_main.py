"""The gateway as a process: its own interpreter, real sockets, real signals."""

import asyncio
import itertools
import json
import pickle
import signal
import socket
import struct
import sys
from dataclasses import replace
from functools import partial

import httpx
import pytest
from headgate_gateway.config import Config, networks

RUN = """
import pickle, sys, uvloop
from headgate_gateway.main import serve
uvloop.run(serve(pickle.load(sys.stdin.buffer)))
"""


@pytest.fixture
async def launch(until):
    started = []

    async def start(config: Config) -> tuple[asyncio.subprocess.Process, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", RUN, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        started.append(process)
        process.stdin.write(pickle.dumps(config))
        process.stdin.close()
        await until(lambda: config.ready_file.exists() or process.returncode is not None)
        return process, json.loads(config.ready_file.read_text())["http"]

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


def refuses(address: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(address) != 0


async def test_it_serves_writes_its_address_and_returns_on_sigterm(launch, gateway_config, service):
    process, url = await launch(gateway_config)
    async with httpx.AsyncClient(base_url=url) as http:
        answer = await http.post("/api/analytics", content=b'{"events":[{"type":"a"}]}')
        assert (answer.status_code, answer.json()) == (200, {"success": True, "received": 1})
        assert "server" not in answer.headers
    assert service.tokens == ["the-gateway-token"]
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_sigterm_lets_requests_in_progress_end(launch, gateway_config, service, until):
    process, url = await launch(gateway_config)
    service.gate.clear()
    async with httpx.AsyncClient(base_url=url) as http:
        asked = asyncio.create_task(http.post("/api/analytics", content=b'{"events":[{"type":"a"}]}'))
        await until(lambda: service.running == 1)
        process.send_signal(signal.SIGTERM)
        await until(partial(refuses, ("127.0.0.1", httpx.URL(url).port)))
        service.gate.set()
        assert (await asked).status_code == 200
    assert await asyncio.wait_for(process.wait(), 20) == 0


POST = b"POST /api/analytics HTTP/1.1\r\nHost: x\r\nContent-Length: 25\r\n\r\n" + b'{"events":[{"type":"a"}]}'


SENT_BEFORE_A_RESET = (POST, POST * 4, POST * 3 + POST[:60], POST * 2 + b"rubbish\r\n\r\n", POST[:100])


async def test_clients_that_reset_leave_no_traceback(launch, gateway_config):
    process, url = await launch(gateway_config)
    port = httpx.URL(url).port
    for turn, sent in itertools.product(range(30), SENT_BEFORE_A_RESET):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(sent)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # From at once to after the first answers.
            await asyncio.sleep(turn / 5000)
    async with httpx.AsyncClient(base_url=url) as http:
        assert (await http.get("/livez")).status_code == 200
    process.send_signal(signal.SIGTERM)
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert b"Traceback" not in errors
    assert b"rror" not in errors


def ask(client: socket.socket) -> bytes:
    """The whole answer to what was sent."""
    client.settimeout(20)
    with client:
        return b"".join(iter(partial(client.recv, 4096), b""))


async def test_sigterm_answers_what_was_accepted(launch, gateway_config, until):
    process, url = await launch(gateway_config)
    address = ("127.0.0.1", httpx.URL(url).port)
    used = socket.create_connection(address)
    used.sendall(POST)
    assert (await asyncio.to_thread(used.recv, 4096)).startswith(b"HTTP/1.1 200 ")
    clients = [used, *(socket.create_connection(address) for _ in range(20))]
    process.send_signal(signal.SIGTERM)
    await until(partial(refuses, address))
    # Each of them was accepted before the listener was closed.
    for client in clients:
        client.sendall(POST)
    answers = await asyncio.gather(*(asyncio.to_thread(ask, client) for client in clients))
    assert [answer[:13] for answer in answers] == [b"HTTP/1.1 200 "] * 21
    assert all(b"\r\nconnection: close\r\n" in answer for answer in answers)
    assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_an_occupied_port_is_named(gateway_config):
    from headgate_gateway.main import serve

    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            await serve(replace(gateway_config, http_port=port))
    assert not gateway_config.ready_file.exists()


@pytest.mark.parametrize(
    "wrong",
    [{"http_port": 70_000}, {"service_address": ""}, {"gateway_token": ""}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_wrong_setting_is_named_at_the_start(wrong):
    given = {"http_host": "127.0.0.1", "http_port": 0, "service_address": "x", "gateway_token": "t", **wrong}
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Config(**given)


def test_the_token_is_not_shown():
    assert "secret" not in repr(Config("127.0.0.1", 0, "x", "secret"))


def test_networks_names_what_is_none():
    assert [str(network) for network in networks(["10.0.0.1/8", "::1"])] == ["10.0.0.0/8", "::1/128"]
    with pytest.raises(ValueError, match="example"):
        networks(["proxy.example"])
