"""What gRPC's C core writes to standard error by itself, in the form of our log."""

import contextlib
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

import structlog

_LINE = re.compile(rb"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([\w./-]+:\d+)\] (.*)")
_LEVELS = {b"I": logging.INFO, b"W": logging.WARNING, b"E": logging.ERROR, b"F": logging.CRITICAL}
# The core says once that nobody has told it where to log.
_NOISE = b"WARNING: All log messages before absl::InitializeLog()"
_END_SECONDS = 1.0


@contextlib.contextmanager
def formed_core_log() -> Iterator[None]:
    """While it lasts, lines of the core are logged, and what else is written to file descriptor 2 goes where it went
    before. Python's own standard error does not take this way: nothing of it is lost in a crash."""
    outside, before = os.dup(2), sys.stderr
    reading, writing = os.pipe()
    before.flush()
    os.dup2(writing, 2)
    os.close(writing)
    with os.fdopen(outside, "w", buffering=1, errors="backslashreplace") as ours:
        _say_by(ours, before)
        forwarding = threading.Thread(target=_forward, args=(reading, outside), name="core-log", daemon=True)
        forwarding.start()
        try:
            yield
        finally:
            # The pipe has no other writer, so that this ends it.
            os.dup2(outside, 2)
            forwarding.join(_END_SECONDS)
            _say_by(before, ours)


def _say_by(stream: TextIO, instead_of: TextIO) -> None:
    sys.stderr = stream
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is instead_of:
            handler.setStream(stream)


def _forward(reading: int, outside: int) -> None:
    log = structlog.get_logger("grpc")
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            if match := _LINE.match(line):
                level, place, said = match.groups()
                log.log(_LEVELS[level], said.decode(errors="replace").strip(), source=place.decode())
            elif not line.startswith(_NOISE):
                os.write(outside, line)
