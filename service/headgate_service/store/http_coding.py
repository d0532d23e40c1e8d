"""The content codings of ClickHouse's HTTP protocol, both ways."""

import zlib
from collections.abc import Callable
from typing import Any, Protocol

import brotli  # type: ignore[import-untyped]  # it ships no types
import lz4.frame
import zstandard

_PIECE = 64 * 1024


class CodingUnknown(Exception):
    """The body is coded in a way that is not known here."""


class BodyBroken(Exception):
    """The body is not what its coding says."""


class BodyTooLarge(Exception):
    """The body is larger than it may be."""


class Encoder(Protocol):
    """Codes an answer piece by piece."""

    def compress(self, piece: bytes, /) -> bytes: ...
    def finish(self) -> bytes: ...


class _Zlib:
    def __init__(self, window: int) -> None:
        self._coder = zlib.compressobj(3, wbits=window)

    def compress(self, piece: bytes, /) -> bytes:
        return self._coder.compress(piece)

    def finish(self) -> bytes:
        return self._coder.flush()


class _Zstd:
    def __init__(self) -> None:
        self._coder = zstandard.ZstdCompressor(level=1).compressobj()

    def compress(self, piece: bytes, /) -> bytes:
        return self._coder.compress(piece)

    def finish(self) -> bytes:
        return self._coder.flush()


class _Brotli:
    def __init__(self) -> None:
        self._coder = brotli.Compressor(quality=1)

    def compress(self, piece: bytes, /) -> bytes:
        coded: bytes = self._coder.process(piece)
        return coded

    def finish(self) -> bytes:
        coded: bytes = self._coder.finish()
        return coded


class _Lz4:
    def __init__(self) -> None:
        self._coder = lz4.frame.LZ4FrameCompressor()
        self._begun: bytes = self._coder.begin()

    def compress(self, piece: bytes, /) -> bytes:
        begun, self._begun = self._begun, b""
        coded: bytes = begun + self._coder.compress(piece)
        return coded

    def finish(self) -> bytes:
        coded: bytes = self._begun + self._coder.flush()
        return coded


ENCODERS: dict[str, Callable[[], Encoder]] = {
    "zstd": _Zstd,
    "lz4": _Lz4,
    "gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15),
    "br": _Brotli,
}
"""In the order in which they are chosen."""


def chosen(accepted: str) -> str | None:
    """The coding for an answer to a request with this Accept-Encoding; None: none of them."""
    names = {part.partition(";")[0].strip().lower() for part in accepted.split(",")}
    return next((name for name in ENCODERS if name in names), None)


def decoded(body: bytes, coding: str, most: int) -> bytes:
    """The body without its coding. Raises CodingUnknown, BodyBroken, and BodyTooLarge past `most` bytes."""
    match coding.strip().lower():
        case "" | "identity":
            return body
        case "br":
            return _brotli(body, most)
        case name if name in _DECODERS:
            return _frames(body, name, most)
    raise CodingUnknown(coding)


def _gzip() -> Any:
    return zlib.decompressobj(31)


def _deflate() -> Any:
    return zlib.decompressobj(15)


def _zstd() -> Any:
    return zstandard.ZstdDecompressor().decompressobj()


_DECODERS: dict[str, Callable[[], Any]] = {
    "gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
    "lz4": lz4.frame.LZ4FrameDecompressor,
}


def _frames(body: bytes, coding: str, most: int) -> bytes:
    """Clients code each block of rows by itself: a body is one frame after another."""
    found, size, rest = [], 0, memoryview(body)
    try:
        while rest:
            coder = _DECODERS[coding]()
            used = 0
            # By the piece, so that no bomb is opened as a whole.
            while not coder.eof:
                piece = rest[used : used + _PIECE]
                if not piece:
                    raise BodyBroken(f"the body is no {coding}: it ends too early")
                used += len(piece)
                found.append(coder.decompress(bytes(piece)))
                size += len(found[-1])
                if size > most:
                    raise BodyTooLarge
            rest = rest[used - len(coder.unused_data or b"") :]
    except (zlib.error, zstandard.ZstdError, RuntimeError, EOFError) as error:
        raise BodyBroken(f"the body is no {coding}: {error}") from None
    return b"".join(found)


def _brotli(body: bytes, most: int) -> bytes:
    coder, found, size = brotli.Decompressor(), [], 0
    try:
        for start in range(0, len(body), _PIECE):
            piece = coder.process(body[start : start + _PIECE])
            size += len(piece)
            if size > most:
                raise BodyTooLarge
            found.append(piece)
    except brotli.error as error:
        raise BodyBroken(f"the body is not valid br: {error}") from None
    if not coder.is_finished():
        raise BodyBroken("the body is not valid br: it ends too early")
    return b"".join(found)
