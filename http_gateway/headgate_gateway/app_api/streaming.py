"""Answers that go on: a line of JSON for each message, or server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpc.aio
import orjson

from headgate_gateway.app_api.caller import Failure, failure_of
from headgate_gateway.http.body import Receive

NDJSON, SSE = "application/x-ndjson", "text/event-stream"

Answer = Callable[[Any], Mapping[str, Any] | None]


class Streams:
    """The answers that go on, so that they end with the process."""

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    def close(self) -> None:
        """Ends them all, and those that begin later."""
        self._closed.set()

    async def begin(self, messages: Any, answer: Answer, receive: Receive, content_type: str) -> AsyncIterator[bytes]:
        """The pieces of an answer. The method must begin with a message; instead of it a refusal is raised here.

        Raises grpc.aio.AioRpcError.
        """
        first = await messages.read()
        return self._pieces(first, messages, answer, receive, _as_event if content_type == SSE else _as_line)

    async def _pieces(
        self, message: Any, messages: Any, answer: Answer, receive: Receive, piece: Callable[[Any], bytes]
    ) -> AsyncIterator[bytes]:
        over = {asyncio.ensure_future(_hung_up(receive)), asyncio.ensure_future(self._closed.wait())}
        try:
            while message is not grpc.aio.EOF:
                yield piece(answer(message))
                coming = asyncio.ensure_future(messages.read())
                await asyncio.wait({coming, *over}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    coming.cancel()
                    return
                message = coming.result()
        except grpc.aio.AioRpcError as error:
            failure = failure_of(error)
            yield piece(failure)
        finally:
            messages.cancel()
            for one in over:
                one.cancel()


def _as_line(value: Any) -> bytes:
    # An empty line is a sign of life.
    if isinstance(value, Failure):
        value = {"error": {"code": value.code, "message": value.message}}
    return b"\n" if value is None else orjson.dumps(value) + b"\n"


def _as_event(value: Any) -> bytes:
    # A comment is a sign of life.
    if value is None:
        return b":\n\n"
    if isinstance(value, Failure):
        failure = orjson.dumps({"code": value.code, "message": value.message})
        return b"event: failure\ndata: " + failure + b"\n\n"
    return b"data: " + orjson.dumps(value) + b"\n\n"


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
