"""Lets the application answer before the body has begun to arrive.

Falcon waits for a request's first piece of body before it looks at the request at all: a client that sends none would
be held for ever, and one that waits for leave to send (`Expect: 100-continue`) would get it before its headers were
read. So Falcon is given an empty first piece, and whoever wants the body takes `receive_of(scope)`.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from headgate_gateway.http.body import Receive

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Any, Any, Any], Awaitable[None]]

_KEY = "headgate.receive"
WHOLE_BODY = "headgate.whole_body"
"""Set in the scope by the server once it has read all of the body."""


class DeferredBody:
    """An ASGI application around Falcon's."""

    def __init__(self, app: Asgi) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope[_KEY] = receive
        try:
            await self.app(scope, _nothing_yet, send)
        finally:
            # The server's part of the request holds the scope: left there, each would wait for the garbage collector,
            # which then stops the process for 30 ms every few thousand requests.
            del scope[_KEY]


def receive_of(scope: MutableMapping[str, Any]) -> Receive:
    """The server's own `receive` of a request."""
    receive: Receive = scope[_KEY]
    return receive


def has_whole_body(scope: MutableMapping[str, Any]) -> bool:
    """Whether one `receive` gives all of the body, and at once."""
    return WHOLE_BODY in scope


async def _nothing_yet() -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": True}
