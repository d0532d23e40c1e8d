"""The `clickhouse` sink: a row per event, through ClickHouse's HTTP interface.

Each batch is one insert with the batch's id as its deduplication token: the table drops an insert whose token it
remembers.
"""

import asyncio
from collections.abc import Mapping

import aiohttp
from pydantic import Field, SecretStr, field_validator

from headgate_sinks import hookimpl
from headgate_sinks.clickhouse.table import INSERT_SETTINGS, EventTable, forgetful, insert_body
from headgate_sinks.formats.event_row import COLUMNS
from headgate_sinks.sdk.sink import Batch, Config, Limits, Misconfigured, Outcome, Repeats, Retry, Sink, Spec
from headgate_sinks.transport.clickhouse import Answer, outcome, read_answer
from headgate_sinks.transport.http import WRITE_SECONDS, checked_url

_MAX_BODY_CHARACTERS = 64 * 1024
_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,126}$"


class ClickhouseConfig(Config):
    """`[sinks.config]` of a clickhouse sink."""

    url: str = Field(description="The HTTP interface, such as `https://clickhouse.example.com:8443`.")
    database: str = Field("default", pattern=_NAME, description="The database, which must be there.")
    table: str = Field("headgate_events", pattern=_NAME, description="The table.")
    user: str = Field("default", min_length=1, description="The user.")
    password: SecretStr | None = Field(None, description="Its password: `env:NAME`, `file:PATH` or itself.")
    create: bool = Field(True, description="Create the table and its missing columns.")
    timeout: float = Field(60.0, gt=0, le=300, description="Seconds that one request may take as a whole.")

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        url = checked_url(url).rstrip("/")
        if "?" in url or "#" in url:
            raise ValueError("must have no query: the sink sends its own")
        return url


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
                while len(text) < _MAX_BODY_CHARACTERS and (part := await response.content.read(_MAX_BODY_CHARACTERS)):
                    text += part
                return read_answer(response.status, response.headers, text.decode(errors="replace"))
        except aiohttp.ClientConnectorCertificateError:
            raise Misconfigured("the server's certificate is not trusted: correct `url` or the server") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retry(f"no answer from ClickHouse: {type(error).__name__}") from None


@hookimpl
def headgate_register_sinks() -> list[type[ClickhouseSink]]:
    return [ClickhouseSink]
