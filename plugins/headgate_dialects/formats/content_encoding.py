"""Decompression that never makes more than it may."""

import zlib
from collections.abc import Callable
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # it ships no types
import zstandard

ACCEPT_ENCODING = "gzip, deflate, br, zstd, identity"

# Gzip members and zstd frames may follow each other; no client sends many, and each costs a copy of what is left.
_MAX_PARTS = 16
# Of zlib, which copies what is left of its input at each step, and of the others.
_ZLIB_STEP = 1024 * 1024
_STEP = 64 * 1024
# What RFC 9659 lets a zstd window have in HTTP.
_ZSTD_WINDOW = 8 * 1024 * 1024


class Inflated(Exception):
    """The data decodes to more than the cap; decoding stopped there."""


class Corrupt(Exception):
    """The data is not of its encoding, or ends too early."""


Watch = Callable[[bytes], None]
"""Is given each piece as it is made; what it raises stops the decoding."""


class Decoder(Protocol):
    """Decodes data to at most `cap` bytes, or raises Inflated or Corrupt."""

    def __call__(self, data: bytes, cap: int, watch: Watch = ..., /) -> bytes: ...


def decoder(encoding: str) -> Decoder | None:
    """Find the decoder of a Content-Encoding; None for one not spoken."""
    return _DECODERS.get(encoding.strip().lower())


def _unwatched(piece: bytes) -> None:
    pass


class _Output:
    """What was made so far."""

    def __init__(self, cap: int, watch: Watch) -> None:
        self._pieces: list[bytes] = []
        self._left = cap
        self._watch = watch

    def add(self, piece: bytes) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise Inflated
        self._watch(piece)
        self._pieces.append(piece)

    def whole(self) -> bytes:
        return b"".join(self._pieces)


def _identity(data: bytes, cap: int, watch: Watch = _unwatched) -> bytes:
    if len(data) > cap:
        raise Inflated
    watch(data)
    return data


def _zlib_parts(data: bytes, cap: int, watch: Watch, window: int) -> bytes:
    out = _Output(cap, watch)
    for _ in range(_MAX_PARTS):
        data = _zlib_part(data, out, window)
        if not data:
            return out.whole()
        if window != _GZIP:
            break
    raise Corrupt("more data after the end")


def _zlib_part(data: bytes, out: _Output, window: int) -> bytes:
    """Adds what one part decodes to; the data after it."""
    inflater = zlib.decompressobj(window)
    more = True
    while more:
        try:
            piece = inflater.decompress(data, _ZLIB_STEP)
        except zlib.error as error:
            raise Corrupt(str(error)) from None
        out.add(piece)
        data = inflater.unconsumed_tail
        # A whole step may leave something in the inflater, though it has read everything.
        more = not inflater.eof and (bool(data) or len(piece) == _ZLIB_STEP)
    if not inflater.eof:
        raise Corrupt("the data ends too early")
    return inflater.unused_data


_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


def _gzip(data: bytes, cap: int, watch: Watch = _unwatched) -> bytes:
    return _zlib_parts(data, cap, watch, _GZIP)


def _deflate(data: bytes, cap: int, watch: Watch = _unwatched) -> bytes:
    # `deflate` means the zlib format, but raw deflate is sent as well: the zlib header is told by its checksum.
    zlib_header = len(data) >= 2 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
    return _zlib_parts(data, cap, watch, _ZLIB if zlib_header else _RAW)


def _brotli(data: bytes, cap: int, watch: Watch = _unwatched) -> bytes:
    inflater = brotli.Decompressor()
    out = _Output(cap, watch)
    try:
        while not inflater.is_finished():
            made = inflater.process(data, output_buffer_limit=_STEP)
            out.add(made)
            if not made and not data:
                raise Corrupt("the data ends too early")
            data = b""
    except brotli.error:
        raise Corrupt("brotli cannot decode it") from None
    return out.whole()


def _zstd(data: bytes, cap: int, watch: Watch = _unwatched) -> bytes:
    inflater = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    out = _Output(cap, watch)
    try:
        reader = inflater.stream_reader(data, read_across_frames=True)
        while piece := reader.read(_STEP):
            out.add(piece)
        _require_whole_frames(inflater, data)
    except zstandard.ZstdError as error:
        raise Corrupt(str(error)) from None
    return out.whole()


def _require_whole_frames(inflater: zstandard.ZstdDecompressor, data: bytes) -> None:
    # The stream reader, which alone can stop at a cap, takes a truncated frame in silence; this pass, which cannot
    # stop, is run on what is known to be within the cap.
    for _ in range(_MAX_PARTS):
        frame = inflater.decompressobj()
        frame.decompress(data)
        if not frame.eof:
            raise Corrupt("the data ends too early")
        data = frame.unused_data
        if not data:
            return
    raise Corrupt("too many frames")


_DECODERS: dict[str, Decoder] = {
    "": _identity,
    "identity": _identity,
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
