"""The end of the server: what waits to be accepted is answered, over TLS too."""

import asyncio
import socket
import ssl
from functools import partial
from typing import Any

import pytest
import trustme
from headgate_gateway.config import Config, HttpTls
from headgate_gateway.http_server.server import Server
from headgate_gateway.main import uvicorn_config
from headgate_gateway.metrics import Metrics

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def ask(connected: socket.socket, tls: ssl.SSLContext | None) -> bytes:
    with connected as plain:
        client = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        client.sendall(GET)
        return b"".join(iter(partial(client.recv, 4096), b""))


@pytest.mark.parametrize("over_tls", [False, True], ids=["plain", "tls"])
async def test_connections_that_wait_to_be_accepted_are_answered(tmp_path, over_tls: bool) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    files = HttpTls(tmp_path / "certificate.pem", tmp_path / "key.pem") if over_tls else None
    config = Config("127.0.0.1", 0, "x", "t", http_tls=files, drain_seconds=5)
    ready = asyncio.Event()
    server = Server(uvicorn_config(config, app, Metrics()), ready.set)
    served = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[served]))
    await asyncio.wait_for(ready.wait(), 20)
    # Nobody accepts here but the kernel.
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    clients = [socket.create_connection(listener.getsockname(), timeout=20) for _ in range(3)]
    tls = trusting if over_tls else None
    asked = [asyncio.create_task(asyncio.to_thread(ask, client, tls)) for client in clients]
    await server.shutdown([listener])
    answers = await asyncio.gather(*asked)
    assert [answer[:15] for answer in answers] == [b"HTTP/1.1 200 OK"] * 3
    assert all(answer.endswith(b"\r\n\r\nok") for answer in answers)
    server.should_exit = True
    await asyncio.wait_for(serving, 20)
