"""One statement on its way through the engine: its answer in pieces, its numbers, and a way to stop it."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from headgate_service.store.engine import EngineError

_PIECES = 4


class JobCancelled(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a statement read and wrote. `seconds` is what it took."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Job:
    """`text` is the statement; `rows` are an insert's, and `rest` is what it says after its columns. `form` is the
    format of the rows, or of the answer. `stream`: the answer may be handed on in pieces. `tag` names it within the
    engine.
    """

    text: str
    form: str
    database: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    rows: bytes | memoryview | None = None
    rest: str = ""
    stream: bool = False
    tag: str = field(default_factory=lambda: f"headgate-{secrets.token_hex(12)}")
    counts: Counts = Counts()
    cancelled: bool = False
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _pieces: "asyncio.Queue[bytes | EngineError | None]" = field(default_factory=lambda: asyncio.Queue(_PIECES))

    def put(self, piece: bytes | EngineError | None) -> None:
        """Called by the thread that runs it; waits while the reader is behind. None: that was all. Raises
        JobCancelled."""
        if self.cancelled:
            raise JobCancelled
        asyncio.run_coroutine_threadsafe(self._pieces.put(piece), self._loop).result()

    async def piece(self) -> bytes | None:
        """The next piece of the answer; None: there is no more. Raises EngineError."""
        piece = await self._pieces.get()
        if isinstance(piece, EngineError):
            raise piece
        return piece

    def cancel(self) -> None:
        """From now on pieces go nowhere, and the thread that makes them ends at the next one."""
        self.cancelled = True
        while not self._pieces.empty():
            self._pieces.get_nowait()
