"""GET /hg.js: the client for web pages, whose source is `clients/js/hg.js`."""

import gzip
import hashlib
from importlib.resources import files
from typing import Any

from falcon.asgi import Request, Response


class BrowserClientResource:
    """The file as it is in the wheel, compressed where the browser takes that. Any page may load it."""

    methods = ("GET", "HEAD")

    def __init__(self) -> None:
        self._source = files("headgate_gateway").joinpath("resources", "hg.js").read_bytes()
        self._compressed = gzip.compress(self._source, 9, mtime=0)
        self._tag = f'"{hashlib.sha256(self._source).hexdigest()[:16]}"'

    async def on_get(self, req: Request, resp: Response) -> None:
        resp.set_headers(
            {
                "Access-Control-Allow-Origin": "*",
                "Cache-Control": "public, max-age=3600",
                "Cross-Origin-Resource-Policy": "cross-origin",
                "ETag": self._tag,
                "Vary": "Accept-Encoding",
            }
        )
        if self._tag in (req.get_header("If-None-Match") or ""):
            resp.status = 304
            return
        resp.content_type = "text/javascript; charset=utf-8"
        if "gzip" in (req.get_header("Accept-Encoding") or ""):
            resp.set_header("Content-Encoding", "gzip")
            resp.data = self._compressed
        else:
            resp.data = self._source

    on_head = on_get

    def operations(self) -> dict[str, Any]:
        described = {
            "operationId": "getBrowserClient",
            "summary": "The client for web pages",
            "tags": ["Clients"],
            "responses": {
                "200": {
                    "description": "A script of less than 2 kB, compressed",
                    "content": {"text/javascript": {"schema": {"type": "string"}}},
                }
            },
        }
        return {"get": described}
