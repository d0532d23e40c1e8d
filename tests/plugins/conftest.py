"""What the tests of several sinks share."""

import tomllib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

PAGES = Path(__file__).parents[2] / "docs/guide/sinks"


@pytest.fixture
def documented() -> Callable[[str], dict[str, Any]]:
    """The `[sinks.config]` of the example on a sink's page."""

    def read(use: str) -> dict[str, Any]:
        page = (PAGES / f"{use}.md").read_text(encoding="utf-8")
        (sink,) = tomllib.loads(page.partition("```toml\n")[2].partition("```")[0])["sinks"]
        assert sink["use"] == use
        config: dict[str, Any] = sink["config"]
        return config

    return read


class Vendor:
    """An HTTP server in a vendor's place. `handle` answers its requests; it writes down what it was sent."""

    def __init__(self) -> None:
        self.url = ""
        self.handle: Callable[[web.Request, bytes], web.StreamResponse] = lambda request, body: web.Response()
        self.requests: list[tuple[web.Request, bytes]] = []

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request, body))
        return self.handle(request, body)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    # aiohttp takes a body's gzip off by itself, as vendors do.
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", vendor.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    vendor.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield vendor
    await runner.cleanup()
