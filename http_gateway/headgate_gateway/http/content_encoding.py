"""Decompression that never makes more than it may."""

import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]  # it ships no types
import zstandard

ACCEPT_ENCODING = "gzip, deflate, br, zstd, identity"

# Gzip members and zstd frames may follow each other; no client sends many, and each costs a copy of what is left.
_MAX_PARTS = 16
_STEP = 64 * 1024
# What RFC 9659 lets a zstd window have in HTTP.
_ZSTD_WINDOW = 8 * 1024 * 1024


class Inflated(Exception):
    """The data decodes to more than the cap; decoding stopped there."""


class Corrupt(Exception):
    """The data is not of its encoding, or ends too early."""


def decoder(encoding: str) -> Callable[[bytes, int], bytes] | None:
    """Find the decoder (data, most bytes it may make) -> bytes of a Content-Encoding; None for one not spoken.

    It raises Inflated or Corrupt.
    """
    return _DECODERS.get(encoding.strip().lower())


def _identity(data: bytes, cap: int) -> bytes:
    if len(data) > cap:
        raise Inflated
    return data


def _zlib_parts(data: bytes, cap: int, window: int) -> bytes:
    out = b""
    for _ in range(_MAX_PARTS):
        inflater = zlib.decompressobj(window)
        try:
            out += inflater.decompress(data, cap + 1 - len(out))
        except zlib.error as error:
            raise Corrupt(str(error)) from None
        if len(out) > cap:
            raise Inflated
        if not inflater.eof:
            raise Corrupt("the data ends too early")
        data = inflater.unused_data
        if not data:
            return out
        if window != _GZIP:
            break
    raise Corrupt("more data after the end")


_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


def _gzip(data: bytes, cap: int) -> bytes:
    return _zlib_parts(data, cap, _GZIP)


def _deflate(data: bytes, cap: int) -> bytes:
    # `deflate` means the zlib format, but raw deflate is sent as well: the zlib header is told by its checksum.
    zlib_header = len(data) >= 2 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
    return _zlib_parts(data, cap, _ZLIB if zlib_header else _RAW)


def _brotli(data: bytes, cap: int) -> bytes:
    inflater = brotli.Decompressor()
    out = bytearray()
    try:
        while not inflater.is_finished():
            made = inflater.process(data, output_buffer_limit=_STEP)
            out += made
            if len(out) > cap:
                raise Inflated
            if not made and not data:
                raise Corrupt("the data ends too early")
            data = b""
    except brotli.error:
        raise Corrupt("brotli cannot decode it") from None
    return bytes(out)


def _zstd(data: bytes, cap: int) -> bytes:
    inflater = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    try:
        out = inflater.stream_reader(data, read_across_frames=True).read(cap + 1)
        if len(out) > cap:
            raise Inflated
        _require_whole_frames(inflater, data)
    except zstandard.ZstdError as error:
        raise Corrupt(str(error)) from None
    return out


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


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "": _identity,
    "identity": _identity,
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
