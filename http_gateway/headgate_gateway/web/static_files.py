"""/app/static: script, style and icons, held in memory and named by what they hold."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from falcon.asgi import Request, Response

FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file. `tag` changes with what it holds."""

    data: bytes
    packed: bytes
    content_type: str
    tag: str


def read_files(folder: Path = FOLDER) -> dict[str, StaticFile]:
    """Every file that is served, by its name."""
    return {path.name: _read(path) for path in sorted(folder.rglob("*")) if path.suffix in _TYPES}


def _read(path: Path) -> StaticFile:
    data = path.read_bytes()
    tag = hashlib.sha256(data).hexdigest()[:16]
    return StaticFile(data, gzip.compress(data, 9, mtime=0), _TYPES[path.suffix], tag)


class StaticResource:
    """Answers with a file; an address that bears its tag may be kept for ever."""

    methods = ("GET", "HEAD")

    def __init__(self, files: dict[str, StaticFile]) -> None:
        self._files = files

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        file = self._files.get(name)
        if file is None:
            resp.status, resp.content_type, resp.data = 404, "text/plain; charset=utf-8", b"There is no such file."
            return
        known = req.params.get("v") == file.tag
        resp.set_headers(
            {
                "Cache-Control": _FOR_EVER if known else "no-cache",
                "ETag": f'"{file.tag}"',
                "Vary": "Accept-Encoding",
                "Cross-Origin-Resource-Policy": "same-origin",
            }
        )
        if req.get_header("If-None-Match") == f'"{file.tag}"':
            resp.status = 304
            return
        resp.content_type = file.content_type
        if "gzip" in (req.get_header("Accept-Encoding") or ""):
            resp.set_header("Content-Encoding", "gzip")
            resp.data = file.packed
        else:
            resp.data = file.data

    on_head = on_get
