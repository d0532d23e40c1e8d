"""GET /hg.js."""

import gzip
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "clients" / "js" / "hg.js"
MAX_BYTES = 2_000


async def test_any_page_may_load_it_and_it_is_small(gateway):
    answer = await gateway.raw(b"GET /hg.js HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\ncontent-encoding: gzip" in head
    assert len(body) <= MAX_BYTES
    assert gzip.decompress(body) == SOURCE.read_bytes()


async def test_it_is_cached_and_told_apart(http):
    answer = await http.get("/hg.js", headers={"Accept-Encoding": "identity"})
    assert answer.content == SOURCE.read_bytes()
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    again = await http.get("/hg.js", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_it_has_no_cookie_and_loads_nothing():
    source = SOURCE.read_text()
    assert "document.cookie" not in source
    assert "import" not in source
