import gzip
import tracemalloc
import zlib

import brotli
import pytest
import zstandard
from headgate_dialects.formats.content_encoding import Corrupt, Inflated, decoder


def raw_deflate(data: bytes) -> bytes:
    squeezer = zlib.compressobj(wbits=-15)
    return squeezer.compress(data) + squeezer.flush()


def streamed_zstd(data: bytes) -> bytes:
    squeezer = zstandard.ZstdCompressor().compressobj()
    return squeezer.compress(data) + squeezer.flush()


SQUEEZE = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "deflate raw": raw_deflate,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "zstd streamed": streamed_zstd,
}
DATA = b'{"events": [' + b",".join(b'{"name":"%d"}' % n for n in range(5000)) + b"]}"
every = pytest.mark.parametrize("kind", SQUEEZE)


def decode(kind: str, data: bytes, cap: int) -> bytes:
    found = decoder(kind.split()[0])
    assert found
    return found(data, cap)


@every
@pytest.mark.parametrize("data", [b"", b"x", DATA])
def test_decodes(kind, data):
    assert decode(kind, SQUEEZE[kind](data), len(data)) == data


@every
def test_one_byte_over_the_cap_is_refused(kind):
    with pytest.raises(Inflated):
        decode(kind, SQUEEZE[kind](DATA), len(DATA) - 1)


@every
def test_a_bomb_never_inflates_past_the_cap(kind):
    bomb = SQUEEZE[kind](bytes(100 * 1024 * 1024))
    tracemalloc.start()
    try:
        with pytest.raises(Inflated):
            decode(kind, bomb, 100_000)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@every
def test_it_stops_where_its_watch_does(kind):
    class Enough(Exception):
        pass

    seen = []

    def watch(piece):
        seen.append(len(piece))
        if sum(seen) > 2_000_000:
            raise Enough

    found = decoder(kind.split()[0])
    with pytest.raises(Enough):
        found(SQUEEZE[kind](bytes(20_000_000)), 30_000_000, watch)
    assert sum(seen) < 4_000_000


@every
def test_truncated_data_is_corrupt(kind):
    squeezed = SQUEEZE[kind](DATA)
    for end in (0, 1, 2, 5, len(squeezed) // 2, len(squeezed) - 1):
        with pytest.raises(Corrupt):
            decode(kind, squeezed[:end], len(DATA))


@every
def test_data_after_the_end_is_corrupt(kind):
    with pytest.raises(Corrupt):
        decode(kind, SQUEEZE[kind](DATA) + b"and more", len(DATA))


@pytest.mark.parametrize("kind", ["gzip", "br", "zstd"])
def test_other_data_is_corrupt(kind):
    with pytest.raises(Corrupt):
        decode(kind, b'{"events":[]}', 1000)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_some_parts_may_follow_each_other_but_not_many(kind):
    part = SQUEEZE[kind](b"ab")
    assert decode(kind, part * 3, 1000) == b"ababab"
    with pytest.raises(Corrupt):
        decode(kind, part * 1000, 10_000)


def test_parts_share_one_cap():
    with pytest.raises(Inflated):
        decode("gzip", gzip.compress(b"ab") * 3, 5)


@pytest.mark.parametrize("name", ["compress", "gzip, br", "gzip,gzip", "identity, gzip", "utf-8"])
def test_unknown_and_multiple_encodings_have_no_decoder(name):
    assert decoder(name) is None


@pytest.mark.parametrize("name", ["", "identity", "GZIP", " x-gzip "])
def test_spellings(name):
    assert decoder(name)
