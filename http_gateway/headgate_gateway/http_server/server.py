"""The HTTP server: uvicorn's, with another end."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn

# Of a client that is accepted at the very end.
_HANDSHAKE_SECONDS = 5.0


class Server(uvicorn.Server):
    """Serves until `should_exit`, then answers whatever was accepted.

    uvicorn closes each connection that has no request at that moment, and with the listener the kernel resets those
    that wait to be accepted: their clients may have sent a request, and see a reset.
    """

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn would take the signals for itself, and raise them again once it has drained instead of returning.
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        accepted = [connection for listener in sockets or [] for connection in _accept_waiting(listener)]
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        # A TLS client may break its handshake off.
        await asyncio.gather(*map(self._connect, accepted), return_exceptions=True)
        await super().shutdown(sockets)

    async def _connect(self, accepted: socket.socket) -> None:
        config = self.config

        def protocol() -> asyncio.Protocol:
            return config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )

        await asyncio.get_running_loop().connect_accepted_socket(
            protocol, accepted, ssl=config.ssl, ssl_handshake_timeout=_HANDSHAKE_SECONDS if config.ssl else None
        )


def _accept_waiting(listener: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(OSError):
        while True:
            accepted, _ = listener.accept()
            accepted.setblocking(False)
            yield accepted
