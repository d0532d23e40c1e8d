"""Runs statements on the engine in threads: queries in some, inserts in others, so that neither waits for the other."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from headgate_sinks.transport.clickhouse import quoted

from headgate_service.store.access import FIXED_SETTINGS, TRUSTED, Access, statements_before
from headgate_service.store.client import written
from headgate_service.store.config import MIB, Config
from headgate_service.store.engine import Engine, EngineError, engine_errors, insert_rows
from headgate_service.store.statement_guard import StatementGuard

_PIECES = 4
_OURS = frozenset(("additional_table_filters", "readonly", "log_comment"))


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
    engine. `access` is what whoever sent it may do.
    """

    text: str
    form: str
    database: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    rows: bytes | memoryview | None = None
    rest: str = ""
    stream: bool = False
    access: Access = TRUSTED
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


# Formats whose pieces, one after another, are the whole: no head, no foot, nothing between.
STREAMED_FORMS = frozenset(
    ("TabSeparated", "TSV", "CSV", "JSONEachRow", "JSONLines", "NDJSON", "JSONCompactEachRow", "Native", "RowBinary")
)


# What must be free for each thread of a query beyond the first.
_MEMORY_OF_THREAD = 128 * MIB


class Busy(Exception):
    """As many wait as may."""


class Lane:
    """So many jobs at once, and so many that wait for their turn."""

    def __init__(self, name: str, width: int, waiting: int) -> None:
        self.threads = ThreadPoolExecutor(width, thread_name_prefix=name)
        self._turns = asyncio.Semaphore(width)
        self._most = width + waiting
        self.inside = 0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Raises Busy."""
        if self.inside >= self._most:
            raise Busy
        self.inside += 1
        try:
            async with self._turns:
                yield
        finally:
            self.inside -= 1


class Runner:
    """Runs jobs on one engine."""

    def __init__(self, engine: Engine, config: Config) -> None:
        self.queries = Lane("query", config.queries, config.waiting)
        self.inserts = Lane("insert", config.inserts, config.waiting)
        self._engine = engine
        self._guard = StatementGuard(_names(engine, "table_functions"))
        self._system_tables = _names(engine, "tables WHERE database = 'system'")
        self._checked_settings = {"max_query_size": str(config.body_bytes)}
        self._killer = ThreadPoolExecutor(1, thread_name_prefix="kill")
        self._running: dict[str, Job] = {}
        common = {"max_memory_usage": str(config.query_memory)}
        self._insert_settings = common
        self._query_settings = common | {
            "max_execution_time": f"{config.query_seconds:g}",
            "max_result_bytes": str(config.answer_bytes),
            "max_bytes_before_external_group_by": str(config.query_memory // 2),
            "max_bytes_before_external_sort": str(config.query_memory // 2),
            # With the 1 GiB of the engine's own a query would run on one core, however many there are.
            "max_threads_min_free_memory_per_thread": str(_MEMORY_OF_THREAD),
        }

    @contextlib.asynccontextmanager
    async def running(self, job: Job) -> AsyncIterator[Job]:
        """Starts a job, whose turn it is; where the block ends before its answer does, the engine stops it."""
        lane = self.queries if job.rows is None else self.inserts
        loop = asyncio.get_running_loop()
        self._running[job.tag] = job
        work = loop.run_in_executor(lane.threads, self._work, job)
        try:
            yield job
        finally:
            del self._running[job.tag]
            job.cancel()
            # An insert is never stopped halfway: whoever sent it will send it again, under the same token.
            while job.rows is None and not work.done():
                await asyncio.shield(loop.run_in_executor(self._killer, self._kill, job.tag))
                job.cancel()
                await asyncio.wait([work], timeout=0.2)
            await asyncio.shield(work)

    def stop_queries(self) -> None:
        """Ends all queries that run; their callers are told so."""
        for job in self._running.values():
            if job.rows is None:
                self._killer.submit(self._kill, job.tag)

    def close(self) -> None:
        """Once nothing runs any more."""
        for threads in (self.queries.threads, self.inserts.threads, self._killer):
            threads.shutdown()

    def _work(self, job: Job) -> None:
        with contextlib.suppress(JobCancelled):
            try:
                if not job.cancelled:
                    self._run(job)
                job.put(None)
            except EngineError as error:
                job.put(error)

    def _run(self, job: Job) -> None:
        own = self._query_settings if job.rows is None else self._insert_settings
        given = {**own, **job.settings, "log_comment": job.tag}
        streamed = job.rows is None and job.stream and job.form in STREAMED_FORMS
        if streamed:
            given["max_result_bytes"] = "0"
        before = statements_before(job.access, self._system_tables)
        if job.access.role:
            self._check(job)
        with self._engine.session(job.database, given, before) as session, engine_errors():
            if job.rows is not None:
                job.counts = _counts(insert_rows(session, job.text, job.rest, job.form, job.rows))
            elif streamed:
                self._stream(session, job)
            else:
                result = session.query(job.text, job.form, params=dict(job.parameters))
                job.counts = _counts(result)
                job.put(result.bytes())

    def _check(self, job: Job) -> None:
        """Raises EngineError where the statement says what its sender must not."""
        if unsafe := next((name for name in job.settings if name in FIXED_SETTINGS or name in _OURS), None):
            said = f"Setting {unsafe} should not be changed"
            raise EngineError(f"Code: 452. DB::Exception: {said}. (SETTING_CONSTRAINT_VIOLATION)")
        text = job.text if job.rows is None else f"{job.text} {job.rest} FORMAT {job.form}"
        formatted = self._engine.query(
            "SELECT formatQuerySingleLine({statement:String})",
            {"statement": written(text)},
            self._checked_settings,
            form="TSVRaw",
        )
        if fault := self._guard.fault(formatted.decode(), job.access):
            raise EngineError(f"Code: 497. DB::Exception: Not enough privileges: {fault}. (ACCESS_DENIED)")

    def _stream(self, session: Any, job: Job) -> None:
        stream = session.send_query(job.text, job.form, params=dict(job.parameters))
        rows = 0
        try:
            while piece := (part := session.streaming_fetch_result(stream)).bytes():
                rows += part.rows_read()
                job.put(piece)
            if stream.has_error():
                raise EngineError(stream.error_message())
            job.counts = Counts(read_rows=rows, result_rows=rows)
        except JobCancelled:
            session.streaming_cancel_query(stream)
            raise

    def _kill(self, tag: str) -> None:
        with contextlib.suppress(EngineError):
            self._engine.query(f"KILL QUERY WHERE Settings['log_comment'] = {quoted(tag)} ASYNC")


def _names(engine: Engine, what: str) -> list[str]:
    return engine.query(f"SELECT name FROM system.{what}", form="TSVRaw").decode().split()  # noqa: S608 (a constant)


def _counts(result: Any) -> Counts:
    return Counts(
        read_rows=result.storage_rows_read(),
        read_bytes=result.storage_bytes_read(),
        written_rows=result.rows_written(),
        written_bytes=result.bytes_written(),
        result_rows=result.rows_read(),
        seconds=result.elapsed(),
    )
