"""Answers of applications of all kinds, as a client gets them over a real socket."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import uvicorn
from headgate_gateway.http_server.connection import Connections, HeadLimits, HttpConnection

Send = Callable[[Any], Awaitable[None]]
Ask = Callable[..., Awaitable[bytes]]

PLAIN = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
KEPT = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def start(headers: list[tuple[bytes, bytes]], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(piece: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": piece, "more_body": more}


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    """Sends requests to an application that sends these messages, and gives all that comes back until it closes."""
    servers: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []

    async def asked(messages: list[Any], requests: bytes = GET) -> bytes:
        async def app(scope: Any, receive: Any, send: Send) -> None:
            for message in messages:
                if isinstance(message, Exception):
                    raise message
                await send(message)

        listener = socket.create_server(("127.0.0.1", 0))
        connection: Any = partial(HttpConnection, limits=HeadLimits(), held=Connections(100, lambda: None))
        # An idle connection outlives the test.
        server = uvicorn.Server(
            uvicorn.Config(app, http=connection, lifespan="off", log_config=None, timeout_keep_alive=60)
        )
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        servers.append((server, asyncio.create_task(server.serve(sockets=[listener]))))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(requests)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer

    yield asked
    for server, task in servers:
        server.should_exit = True
        await asyncio.wait_for(task, 10)


async def test_a_whole_answer_bears_its_headers_and_the_servers_own(ask: Ask) -> None:
    head, _, rest = (await ask([start([*PLAIN, (b"x-one", b"1")]), body(b"hello")])).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert {b"content-type: text/plain", b"content-length: 5", b"x-one: 1"} < set(lines)
    assert any(line.startswith(b"date: ") for line in lines)
    assert rest == b"hello"


async def test_requests_on_one_connection_get_their_answers_in_order(ask: Ask) -> None:
    answer = await ask([start(PLAIN), body(b"hello")], KEPT + KEPT + GET)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == answer.count(b"\r\n\r\nhello") == 3
    assert answer.count(b"connection: close") == 1


@pytest.mark.parametrize("unsafe", [b"a\r\nset-cookie: x=1", b"a\nb", b"a\rb", b"a\0b", b"a\x7fb"])
async def test_a_header_that_would_end_early_is_not_sent(ask: Ask, unsafe: bytes) -> None:
    answer = await ask([start([*PLAIN, (b"x-one", unsafe)]), body(b"hello")])
    assert b"set-cookie" not in answer
    assert unsafe not in answer
    assert b"hello" not in answer


async def test_a_header_whose_name_would_end_early_is_not_sent(ask: Ask) -> None:
    assert b"set-cookie" not in await ask([start([*PLAIN, (b"x\r\nset-cookie", b"x=1")]), body(b"hello")])


async def test_the_answer_to_head_has_no_body(ask: Ask) -> None:
    answer = await ask([start(PLAIN), body(b"hello")], GET.replace(b"GET", b"HEAD"))
    assert answer.endswith(b"\r\n\r\n")
    assert b"content-length: 5" in answer


async def test_an_answer_in_pieces_arrives_whole(ask: Ask) -> None:
    answer = await ask([start([]), body(b"hel", more=True), body(b"lo")])
    assert answer.endswith(b"transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")


async def test_an_answer_without_a_length_is_chunked(ask: Ask) -> None:
    assert (await ask([start([]), body(b"hello")])).endswith(b"5\r\nhello\r\n0\r\n\r\n")


async def test_after_an_answer_shorter_than_it_says_the_connection_is_cut(ask: Ask) -> None:
    answer = await ask([start([(b"content-length", b"9")]), body(b"hello")], KEPT + KEPT)
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.endswith(b"\r\n\r\nhello")


async def test_an_application_may_close_the_connection(ask: Ask) -> None:
    answer = await ask([start([*PLAIN, (b"connection", b"close")]), body(b"hello")], KEPT + KEPT)
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert answer.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("messages", [[], [start(PLAIN)]], ids=["before", "after its head"])
async def test_a_defect_before_the_body_is_answered_with_500(ask: Ask, messages: list[Any]) -> None:
    answer = await ask([*messages, RuntimeError("defect")])
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"defect" not in answer
