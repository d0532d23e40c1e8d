"""The `clickhouse` sink: a row per event, through ClickHouse's HTTP interface.

Each batch is one insert with the batch's id as its deduplication token: the table drops an insert whose token it
remembers.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from pydantic import Field, SecretStr, field_validator

from headgate_sinks import hookimpl
from headgate_sinks.batch import Batch
from headgate_sinks.clickhouse_table import INSERT_SETTINGS, EventTable, forgetful, insert_body
from headgate_sinks.event_row import COLUMNS
from headgate_sinks.http_target import WRITE_SECONDS, checked_url, wait_seconds
from headgate_sinks.result import Misconfigured, Outcome, Reject, Result, Retry, TooLarge
from headgate_sinks.sink import Config, Limits, Repeats, Sink, Spec

_LONGEST_BODY = 64 * 1024
_LONGEST_MESSAGE = 300
_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,126}$"
# An exception may come after the status was sent; then it is in the body.
_EXCEPTION = re.compile(r"^Code: (\d+)\. DB::Exception", re.MULTILINE)
_SYMBOL = re.compile(r"\(([A-Z][A-Z0-9_]+)\)(?: \(version [^)]*\)+)?\s*$")

# ClickHouse's own numbers of its errors, from its ErrorCodes.cpp.
_SAYS_EVENT_IS_UNFIT = frozenset((
    6, 25, 26, 27, 38, 41, 53, 69, 70, 72, 117, 130, 131, 321, 349, 407, 441, 467, 469, 691,
))  # fmt: skip
_SAYS_MISCONFIGURED = frozenset((
    16, 20, 36, 44, 46, 47, 48, 60, 62, 80, 81, 115, 164, 192, 193, 194, 195, 291, 452, 497, 516,
))  # fmt: skip


class ClickhouseConfig(Config):
    """`[sinks.config]` of a clickhouse sink."""

    url: str = Field(description="The HTTP interface, such as `https://clickhouse.example.com:8443`.")
    database: str = Field("default", pattern=_NAME, description="The database, which must be there.")
    table: str = Field("headgate_events", pattern=_NAME, description="The table.")
    user: str = Field("default", min_length=1, description="The user.")
    password: SecretStr | None = Field(None, description="Its password: `env:NAME`, `file:PATH` or itself.")
    create: bool = Field(True, description="Make the table where there is none, and add columns that it lacks.")
    timeout: float = Field(60.0, gt=0, le=300, description="Seconds that one request may take as a whole.")

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        url = checked_url(url).rstrip("/")
        if "?" in url or "#" in url:
            raise ValueError("must have no query: the sink sends its own")
        return url


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its status, the number of ClickHouse's error or None, its Retry-After header, its text."""

    status: int
    code: int | None
    retry_after: str | None
    text: str


class ClickhouseSink(Sink[ClickhouseConfig]):
    """Writes each batch as one insert."""

    use = "clickhouse"
    Config = ClickhouseConfig
    # ClickHouse wants few large inserts.
    spec = Spec(
        limits=Limits(events=10_000, bytes=8 * 1024 * 1024, age=5.0),
        concurrency=4,
        repeats=Repeats.BATCH_ID,
        when_full="expire",
        write_seconds=WRITE_SECONDS,
    )

    _session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._table = EventTable(self.config.database, self.config.table)
        self._preparing = asyncio.Lock()
        self._prepared = False
        self._session = await self._make_session()

    async def check(self) -> None:
        table = EventTable(self.config.database, self.config.table)
        async with await self._make_session() as session:
            await self._look_at(session, table, may_lack=self.config.create)

    async def write(self, batch: Batch) -> Outcome:
        if self._session is None:
            return Retry("the sink is closed")
        try:
            await self._prepare(self._session)
            body = await asyncio.to_thread(insert_body, batch.events)
            settings = {**INSERT_SETTINGS, "insert_deduplication_token": batch.id}
            answer = await self._ask(self._session, self._table.insertion(), settings, body)
        except Misconfigured:
            self._prepared = False
            raise
        said = outcome(answer, len(batch.events), self.place.clock())
        if isinstance(said, Misconfigured):
            # The table may have been dropped or changed: look at it before the next write.
            self._prepared = False
        return said

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _make_session(self) -> aiohttp.ClientSession:
        given = self.config.password
        password = "" if given is None else await asyncio.to_thread(self.place.secret, given)
        credentials = {"X-ClickHouse-User": self.config.user, "X-ClickHouse-Key": password}
        if any(character in value for value in credentials.values() for character in "\r\n\0"):
            raise Misconfigured("`user` or `password` has more than one line")
        return aiohttp.ClientSession(
            headers=credentials,
            timeout=aiohttp.ClientTimeout(total=self.config.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def _prepare(self, session: aiohttp.ClientSession) -> None:
        """Makes and widens the table, and makes sure that it drops repeated batches."""
        async with self._preparing:
            if self._prepared:
                return
            if self.config.create:
                # Nothing is changed where nothing is lacking: that takes no more rights than writing does.
                present = await self._columns(session, self._table)
                if not present:
                    await self._command(session, self._table.creation())
                elif widening := self._table.widening(present):
                    await self._command(session, widening)
            await self._look_at(session, self._table, may_lack=False)
            self._prepared = True

    async def _look_at(self, session: aiohttp.ClientSession, table: EventTable, *, may_lack: bool) -> None:
        present = await self._columns(session, table)
        if not present:
            if may_lack:
                return
            raise Misconfigured(f"there is no table {table.quoted}: make it, or set `create = true`")
        lacking = ", ".join(column.name for column in COLUMNS if column.name not in present)
        if lacking and not may_lack:
            raise Misconfigured(f"{table.quoted} lacks the columns {lacking}: add them, or set `create = true`")
        if reason := forgetful(await self._command(session, table.engine())):
            raise Misconfigured(f"{table.quoted} would take a repeated batch twice: {reason}")

    async def _columns(self, session: aiohttp.ClientSession, table: EventTable) -> frozenset[str]:
        return frozenset((await self._command(session, table.columns())).split())

    async def _command(self, session: aiohttp.ClientSession, query: str) -> str:
        """The answer's text. Raises Retry and Misconfigured."""
        answer = await self._ask(session, query, {"wait_end_of_query": "1"}, b"")
        said = outcome(answer, 0, self.place.clock())
        if isinstance(said, Exception):
            raise said
        return answer.text

    async def _ask(
        self, session: aiohttp.ClientSession, query: str, settings: Mapping[str, str], body: bytes
    ) -> Answer:
        parameters = {"database": self.config.database, "query": query, **settings}
        try:
            async with session.post(
                f"{self.config.url}/", params=parameters, data=body, allow_redirects=False
            ) as response:
                text = bytearray()
                # To its end where it is short, so that the connection can be used again.
                while len(text) < _LONGEST_BODY and (part := await response.content.read(_LONGEST_BODY)):
                    text += part
                return read_answer(response.status, response.headers, text.decode(errors="replace"))
        except aiohttp.ClientConnectorCertificateError:
            raise Misconfigured("the server's certificate is not trusted: correct `url` or the server") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retry(f"no answer from ClickHouse: {type(error).__name__}") from None


def read_answer(status: int, headers: Mapping[str, str], text: str) -> Answer:
    """The error's number is in a header; where the error came after the headers, in the text."""
    given = headers.get("X-ClickHouse-Exception-Code", "")
    found = _EXCEPTION.search(text)
    code = int(given) if given.isascii() and given.isdigit() else int(found[1]) if found else None
    return Answer(status, code, headers.get("Retry-After"), text)


def outcome(answer: Answer, events: int, now: float) -> Outcome:
    """What an answer says of a batch of so many events. `now` is in seconds since 1970."""
    status, code = answer.status, answer.code
    symbol = _SYMBOL.search(answer.text)
    # The whole text may quote events, which belong into dead letters only.
    said = (
        f"ClickHouse answered {status}"
        if code is None
        else f"ClickHouse says {code}{f' {symbol[1]}' if symbol else ''}"
    )
    if code is None:
        if 200 <= status < 300:
            return Result()
        if status == 413:
            return TooLarge(said)
        if status in (408, 425, 429) or status >= 500:
            return Retry(said, after=wait_seconds(answer.retry_after, now))
        return Misconfigured(f"{said}: correct `url`, `user` or `password`, or what is between here and there")
    if code in _SAYS_EVENT_IS_UNFIT:
        if events == 1:
            return Result((Reject((0,), f"clickhouse_{code}", answer.text.strip()[:_LONGEST_MESSAGE]),))
        # It takes all of an insert or nothing: in halves, the event that it is will be alone in the end.
        return TooLarge(f"{said} of an event in the batch")
    if code in _SAYS_MISCONFIGURED:
        return Misconfigured(f"{said}: {answer.text.strip()[:_LONGEST_MESSAGE]}")
    return Retry(said, after=wait_seconds(answer.retry_after, now))


@hookimpl
def headgate_register_sinks() -> list[type[ClickhouseSink]]:
    return [ClickhouseSink]
