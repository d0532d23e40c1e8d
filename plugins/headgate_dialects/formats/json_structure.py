"""What a JSON text holds, counted without building any of it: a few kilobytes of gzip hold millions of empty objects,
and each takes a hundred bytes once it is one."""

import re

MAX_VALUES = 500_000
"""In one body: as many commas and opening brackets as it may have."""

_STEP = 256 * 1024
_OTHER = bytes(set(range(256)) - set(b"{}[],"))
_COMMA, _ARRAY = b",["
# Innermost; not the outermost.
_IN_ARRAY = re.compile(rb"(?<=[\[{,])[\[{],*+[\]}]")
# Right within the outermost object stand arrays that are counted.
_OBJECT_IN_ARRAY = re.compile(rb"(?<=[\[,])\{(?:,|\[,*+\])*+\}")
# What is deeper is malformed anyway.
_DEEPEST = 1024


class TooManyValues(Exception):
    """The text holds more than MAX_VALUES."""


class Structure:
    """Takes a text piece by piece, and tells its brackets and commas from what stands in strings.

    For text that is not JSON, the answer is undefined after the first fault.
    """

    def __init__(self) -> None:
        self._in_string = False
        self._cut = b""

    def of(self, piece: bytes) -> bytes:
        """The brackets and commas of the next piece."""
        piece = self._cut + piece
        # An escape whose second half comes with the next piece.
        self._cut = b"\\" if (len(piece) - len(piece.rstrip(b"\\"))) % 2 else b""
        piece = piece[:-1] if self._cut else piece
        parts = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = parts[1::2] if self._in_string else parts[::2]
        self._in_string ^= len(parts) % 2 == 0
        return b"".join(outside).translate(None, _OTHER)


class ValueLimit:
    """Takes a text piece by piece, until it holds too many values."""

    def __init__(self) -> None:
        self._structure = Structure()
        self._unread: list[bytes] = []
        self._most = 0
        """No more than this is in what is not read yet."""
        self._values = 0

    def add(self, piece: bytes) -> None:
        """Raises TooManyValues."""
        # Nearly every body is done with by this count, which takes a fiftieth of the time.
        self._unread.append(piece)
        self._most += _marks(piece)
        if self._values + self._most <= MAX_VALUES:
            return
        for unread in self._unread:
            for start in range(0, len(unread), _STEP):
                self._values += _marks(self._structure.of(unread[start : start + _STEP]))
                if self._values > MAX_VALUES:
                    raise TooManyValues
        self._unread.clear()
        self._most = 0


def _marks(text: bytes) -> int:
    return text.count(b",") + text.count(b"{") + text.count(b"[")


def elements(body: bytes) -> int:
    """How many elements the outermost array has; where that is an object, the longest of the arrays right within it.
    An empty array counts as one, and text that is not JSON may give any number."""
    text = _without_inner(body)
    counted = 1 if text.startswith(b"[") else 2
    depth = here = most = 0
    for mark in text:
        if mark == _COMMA:
            if depth == counted and here:
                here += 1
        elif mark in b"[{":
            depth += 1
            if depth == counted:
                here = int(mark == _ARRAY)
            elif depth > _DEEPEST:
                break
        else:
            if depth == counted:
                most, here = max(most, here), 0
            depth -= 1
    return max(most, here)


def _without_inner(body: bytes) -> bytes:
    """The structure, with much of what stands deeper than any counted array left out."""
    structure = Structure()
    pieces = (structure.of(body[start : start + _STEP]) for start in range(0, len(body), _STEP))
    text = b"".join(pieces)
    text = text.replace(b",{}", b",")
    inner = _IN_ARRAY if text.startswith(b"[") else _OBJECT_IN_ARRAY
    left = 2 * len(text)
    # Of what nests deep, each time takes away little.
    while len(text) < left * 0.9:
        left = len(text)
        text = inner.sub(b"", text)
    return text
