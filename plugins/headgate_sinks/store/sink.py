"""The `store` sink: it feeds the store that queries are answered from, over ClickHouse's HTTP protocol.

Batches that wait at the same time go together, as one insert over all their projects. What the store holds already is
left out of it (`store_repeats`), so that a batch that comes again in other company doubles nothing. The token of the
insert is for what cannot be seen yet: the same insert, still under way.
"""

import asyncio
import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from headgate.v1 import event_pb2
from pydantic import Field, SecretStr, field_validator

from headgate_sinks import hookimpl
from headgate_sinks.sdk.sink import (
    Batch,
    Config,
    Limits,
    Misconfigured,
    Outcome,
    Repeats,
    Result,
    Retry,
    Sink,
    Spec,
    TooLarge,
)
from headgate_sinks.store.repeats import EventName, Named, Newest, fresh, named, newest
from headgate_sinks.store.rows import COLUMNS, rows
from headgate_sinks.transport.clickhouse import StoreAddress, outcome, quoted, read_answer
from headgate_sinks.transport.http import WRITE_SECONDS

TABLE = "events"
GATHERED_EVENTS = 50_000
# What an insert that was given up may still take to end.
_ENDING_SECONDS = 30.0
_INSERT = f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) FORMAT RowBinary"
_INSERT_SETTINGS = {
    # Answered once the rows are in the table.
    "async_insert": "0",
    "wait_end_of_query": "1",
    "insert_deduplicate": "1",
    # What is gathered is one block: in several it would be several inserts.
    "input_format_parallel_parsing": "0",
    "max_insert_block_size": "1000000",
    # A key with a dot is a path of its own, and not that of a nested one.
    "json_type_escape_dots_in_keys": "1",
    "type_json_skip_duplicated_paths": "1",
    # Strings stay strings: "2026-01-01" is not a date.
    "input_format_try_infer_dates": "0",
    "input_format_try_infer_datetimes": "0",
}
_ASKED_SETTINGS = {
    "wait_end_of_query": "1",
    "default_format": "JSONCompactEachRow",
    "output_format_json_quote_64bit_integers": "0",
    "max_query_size": str(64 * 1024 * 1024),
}


class StoreConfig(Config):
    """`[sinks.config]` of a store sink."""

    url: SecretStr | None = Field(
        None, description="The store, as `[store] url` says it, or `env:NAME` or `file:PATH` of it. Absent: that one."
    )
    timeout: float = Field(60.0, gt=0, le=300, description="Seconds that one request may take as a whole.")

    @field_validator("url")
    @classmethod
    def _url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("env:", "file:")):
            StoreAddress.parse(url.get_secret_value())
        return url


@dataclass(slots=True, eq=False)
class _Waiting:
    batch: Batch
    said: "asyncio.Future[Outcome]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class StoreSink(Sink[StoreConfig]):
    """Writes what waits as one insert, and the next while that is under way."""

    use = "store"
    Config = StoreConfig
    spec = Spec(
        limits=Limits(events=20_000, bytes=8 * 1024 * 1024, age=1.0),
        concurrency=16,
        repeats=Repeats.EVENT_ID,
        when_full="refuse",
        write_seconds=WRITE_SECONDS,
    )

    _session: aiohttp.ClientSession | None = None
    _writer: "asyncio.Task[None] | None" = None

    async def open(self) -> None:
        self._address, self._session = await self._connect()
        self._waiting: list[_Waiting] = []
        self._taken: list[_Waiting] = []
        self._news = asyncio.Event()
        self._newest = Newest()
        # Whether inserts of an earlier life, or given up in this one, may still be under way.
        self._uncertain = True
        self._writer = asyncio.create_task(self._write_all())

    async def check(self) -> None:
        self._address, session = await self._connect()
        async with session:
            lacking = set(COLUMNS) - {row[0] for row in await self._rows(session, _COLUMNS_THERE)}
        if lacking:
            raise Misconfigured(
                f"the table {self._address.database}.{TABLE} lacks {', '.join(sorted(lacking))}: a running `headgate"
                " service` or `headgate store` of this version makes and widens it"
            )

    async def write(self, batch: Batch) -> Outcome:
        if self._session is None:
            return Retry("the sink is closed")
        waiting = _Waiting(batch)
        self._waiting.append(waiting)
        self._news.set()
        try:
            return await waiting.said
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            elif all(one.said.cancelled() for one in self._taken):
                # Nobody waits for the answer any more; the store may not give one.
                self._insertion.cancel()
            raise

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        session, self._session = self._session, None
        if writer is not None:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        if session is not None:
            await session.close()

    async def _connect(self) -> tuple[StoreAddress, aiohttp.ClientSession]:
        if self.config.url is None:
            raise Misconfigured("there is no store: set [store] enabled or url")
        text = await asyncio.to_thread(self.place.secret, self.config.url)
        try:
            address = StoreAddress.parse(text)
        except ValueError as error:
            raise Misconfigured(f"`url` {error}") from None
        return address, address.session(self.config.timeout)

    async def _write_all(self) -> None:
        """One insert after the other: what comes meanwhile goes with the next."""
        while self._session is not None:
            await self._news.wait()
            self._taken = self._take()
            try:
                self._insertion = asyncio.create_task(self._write(self._session, self._taken))
                await asyncio.wait([self._insertion])
            finally:
                self._insertion.cancel()
                error = (
                    None if self._insertion.cancelled() or not self._insertion.done() else self._insertion.exception()
                )
                # Whatever went wrong: the engine sends again what it was not told about.
                for one in self._taken:
                    _tell(one, Retry("the sink closes" if error is None else f"{type(error).__name__} in the sink"))

    def _take(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        events = 0
        while self._waiting and (not taken or events + len(self._waiting[0].batch.events) <= GATHERED_EVENTS):
            taken.append(self._waiting.pop(0))
            events += len(taken[-1].batch.events)
        if not self._waiting:
            self._news.clear()
        return taken

    async def _write(self, session: aiohttp.ClientSession, taken: Sequence[_Waiting]) -> None:
        said = await self._insert(session, [one.batch for one in taken])
        if isinstance(said, Result | Retry | Misconfigured) or len(taken) == 1:
            for one in taken:
                _tell(one, said)
            return
        # It is about some event, or about the size: alone, the batch that it is about is found.
        for one in taken:
            _tell(one, await self._insert(session, [one.batch]))

    async def _insert(self, session: aiohttp.ClientSession, batches: Sequence[Batch]) -> Outcome:
        try:
            if self._uncertain:
                await self._until_ended(session)
            events = await asyncio.to_thread(_named, batches)
            now = time.monotonic()
            left = await self._left(session, events, old=any(batch.attempt > 1 for batch in batches), now=now)
            if not left:
                return Result()
            body = await asyncio.to_thread(rows, left)
            self._uncertain = True
            settings = {**_INSERT_SETTINGS, "insert_deduplication_token": _token(batches)}
            said = await self._ask(session, _INSERT, settings, body, len(left) if len(batches) == 1 else 2)
            self._uncertain = isinstance(said, Retry)
            if isinstance(said, Result):
                self._newest.learn(newest(events), now)
            elif isinstance(said, Retry):
                self._newest.forget()
        except (Retry, Misconfigured, TooLarge) as error:
            return error
        return _in_batch(said, batches, left)

    async def _left(
        self, session: aiohttp.ClientSession, events: Sequence[Named], *, old: bool, now: float
    ) -> list[event_pb2.Event]:
        """The events that the store does not hold."""
        if old:
            self._newest.forget()
        projects = {one.name[0] for one in events}
        if unknown := self._newest.unknown(projects, now):
            since = min(one.name[2] for one in events)
            found = await self._rows(session, _newest_query(unknown, since))
            self._newest.learn(dict.fromkeys(unknown, since - 1) | {row[0]: row[1] for row in found}, now)
        suspects = self._newest.suspects(events)
        there: list[EventName] = []
        if suspects:
            there = [(row[0], row[1], row[2]) for row in await self._rows(session, _there_query(suspects))]
        return fresh(events, there)

    async def _until_ended(self, session: aiohttp.ClientSession) -> None:
        """Waits for inserts that nobody waits for any more: what they will have written cannot be seen before."""
        running = {row[0] for row in await self._rows(session, _RUNNING)}
        ends = time.monotonic() + _ENDING_SECONDS
        while running:
            if time.monotonic() > ends:
                raise Retry("an insert that was given up has not ended yet")
            await asyncio.sleep(0.05)
            running &= {row[0] for row in await self._rows(session, _RUNNING)}
        self._uncertain = False

    async def _rows(self, session: aiohttp.ClientSession, query: str) -> list[list[Any]]:
        """Raises Retry and Misconfigured."""
        text = bytearray()
        said = await self._ask(session, "", _ASKED_SETTINGS, query.encode(), 0, text)
        if isinstance(said, Exception):
            raise said
        return [orjson.loads(line) for line in bytes(text).split(b"\n") if line]

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        query: str,
        settings: dict[str, str],
        body: bytes,
        events: int,
        answer: bytearray | None = None,
    ) -> Outcome:
        parameters = {"database": self._address.database, **({"query": query} if query else {}), **settings}
        try:
            async with session.post(
                f"{self._address.url}/", params=parameters, data=body, allow_redirects=False
            ) as response:
                text = await response.read()
        except aiohttp.ClientConnectorCertificateError:
            raise Misconfigured("the server's certificate is not trusted: correct `url` or the server") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retry(f"no answer from the store: {type(error).__name__}") from None
        failed = response.status != 200 or "X-ClickHouse-Exception-Code" in response.headers
        if answer is not None and not failed:
            answer += text
            return Result()
        return outcome(
            read_answer(response.status, response.headers, text.decode(errors="replace")), events, self.place.clock()
        )


_COLUMNS_THERE = f"SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '{TABLE}'"  # noqa: S608
_RUNNING = f"SELECT query_id FROM system.processes WHERE startsWith(query, 'INSERT INTO {TABLE} (')"  # noqa: S608


def _newest_query(projects: Iterable[str], since: int) -> str:
    return (
        f"SELECT project_id, toUnixTimestamp64Milli(max(receive_time)) FROM {TABLE}"  # noqa: S608 (quoted, and a number)
        f" WHERE project_id IN ({', '.join(map(quoted, projects))})"
        f" AND receive_time >= fromUnixTimestamp64Milli({since}) GROUP BY project_id"
    )


def _there_query(suspects: Sequence[Named]) -> str:
    projects, ids, times = (set(part) for part in zip(*(one.name for one in suspects), strict=True))
    return (
        f"SELECT project_id, event_id, toUnixTimestamp64Milli(receive_time) FROM {TABLE}"  # noqa: S608 (quoted)
        f" WHERE project_id IN ({', '.join(map(quoted, projects))})"
        f" AND receive_time BETWEEN fromUnixTimestamp64Milli({min(times)}) AND fromUnixTimestamp64Milli({max(times)})"
        f" AND event_id IN ({', '.join(map(quoted, ids))})"
    )


def _named(batches: Sequence[Batch]) -> list[Named]:
    return named(event for batch in batches for event in batch.events)


def _token(batches: Sequence[Batch]) -> str:
    if len(batches) == 1:
        return batches[0].id
    return hashlib.sha256("\n".join(batch.id for batch in batches).encode()).hexdigest()


def _in_batch(said: Outcome, batches: Sequence[Batch], left: Sequence[event_pb2.Event]) -> Outcome:
    """A rejection names the only event that was sent: its place is another where some were there already."""
    if not isinstance(said, Result) or not said.rejected:
        return said
    (event,) = left
    place = next(number for number, one in enumerate(batches[0].events) if one is event)
    return Result(tuple(type(one)((place,), one.code, one.message) for one in said.rejected))


def _tell(waiting: _Waiting, said: Outcome) -> None:
    if not waiting.said.done():
        waiting.said.set_result(said)


@hookimpl
def headgate_register_sinks() -> list[type[StoreSink]]:
    return [StoreSink]
