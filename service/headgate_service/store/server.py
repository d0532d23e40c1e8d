"""ClickHouse's HTTP protocol in front of the embedded engine."""

import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog
from aiohttp import web
from headgate_sinks.transport.clickhouse import DATABASE

from headgate_service.store.access import TRUSTED, WRITERS, Access, access_of
from headgate_service.store.config import Config
from headgate_service.store.engine import EngineError
from headgate_service.store.http_coding import (
    ENCODERS,
    BodyBroken,
    BodyTooLarge,
    CodingUnknown,
    Encoder,
    chosen,
    decoded,
)
from headgate_service.store.metrics import StoreMetrics
from headgate_service.store.runner import Busy, Counts, Job, Runner
from headgate_service.store.statement import Statement, read_statement

# What stands beside settings in an address, and is none.
_OWN = frozenset((
    "query", "database", "default_format", "user", "password", "query_id", "session_id", "session_timeout",
    "session_check", "close_session", "compress", "decompress", "buffer_size", "wait_end_of_query", "quota_key", "role",
    "stacktrace", "client_protocol_version", "send_progress_in_http_headers", "http_headers_progress_interval_ms",
    "enable_http_compression", "http_zlib_compression_level", "cancel_http_readonly_queries_on_client_close",
    "http_native_compression_disable_checksumming_on_decompress", "add_http_cors_header", "async_insert",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """`whole`: nothing is answered before all of it is known. `compressed`: the answer may be. `native_blocks`: it
    wants ClickHouse's own compression of blocks."""

    query: str
    database: str
    form: str | None
    query_id: str | None
    whole: bool
    compressed: bool
    native_blocks: bool
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


def read_asked(address: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
    """`address` are the parameters of the address, or of the form in the body over them."""
    return Asked(
        query=address.get("query", ""),
        database=address.get("database") or headers.get("X-ClickHouse-Database") or DATABASE,
        form=address.get("default_format") or headers.get("X-ClickHouse-Format"),
        query_id=address.get("query_id"),
        whole=_yes(address.get("wait_end_of_query")),
        compressed=_yes(address.get("enable_http_compression")),
        native_blocks=_yes(address.get("compress")) or _yes(address.get("decompress")),
        parameters={name.removeprefix("param_"): value for name, value in address.items() if name.startswith("param_")},
        settings={name: value for name, value in address.items() if name not in _OWN and not name.startswith("param_")},
    )


def credentials(address: Mapping[str, str], headers: Mapping[str, str]) -> tuple[str, str]:
    """User and password, as the request gives them."""
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", WRITERS[0]), headers.get("X-ClickHouse-Key", "")
    kind, _, given = headers.get("Authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return user, password
    return address.get("user", WRITERS[0]), address.get("password", "")


def _yes(value: str | None) -> bool:
    return value not in (None, "", "0", "false")


UNKNOWN_FORMAT = 73
TOO_BIG_BODY = 307
NOT_IMPLEMENTED = 48
READONLY = 164
TOO_MANY_AT_ONCE = 202
AUTHENTICATION_FAILED = 516
SYNTAX_ERROR = 62

_STATUS: dict[int, int] = {
    **dict.fromkeys((AUTHENTICATION_FAILED, 192, 193, 194, 497), 403),
    **dict.fromkeys((
        6, 26, 27, 28, 29, 38, 41, 43, 44, 53, 57, 59, 62, 69, 70, 72, 77, 117, 131, 349, 376, 377, 379, 407, 441,
        456, 457, 467, 469,
    ), 400),
    **dict.fromkeys((36, 46, 47, 50, 56, 60, 63, 65, UNKNOWN_FORMAT, 81, 82, 115, 1000), 404),
    **dict.fromkeys((229, TOO_BIG_BODY, 382), 413),
    NOT_IMPLEMENTED: 501,
    159: 408,
    **dict.fromkeys((TOO_MANY_AT_ONCE, 209, 210, 242, 439), 503),
}  # fmt: skip


def status_of(code: int) -> int:
    return _STATUS.get(code, 500)


class Refused(Exception):
    """A request that never reaches the engine, for a reason that ClickHouse has a number and a name for."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {message}. ({name})")
        self.code = code


# What an answer holds back, so that an error within has the status of one.
_HELD_BACK = 1024 * 1024
_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONCompactEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Parquet": "application/octet-stream",
}

_log = structlog.get_logger(__name__)


class StoreServer:
    """Answers requests. `trusted`: whoever reaches it may do anything, as over a Unix socket of the owner's."""

    def __init__(self, runner: Runner, config: Config, version: str, metrics: StoreMetrics, *, trusted: bool) -> None:
        self._runner = runner
        self._config = config
        self._version = version
        self._metrics = metrics
        self._trusted = trusted

    def app(self) -> web.Application:
        app = web.Application(client_max_size=self._config.body_bytes)
        app.router.add_get("/ping", _ok)
        app.router.add_get("/replicas_status", _ok)
        app.router.add_route("*", "/", self.handle)
        return app

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any statement."""
        query_id = request.query.get("query_id") or secrets.token_hex(16)
        response = web.StreamResponse(headers={"X-ClickHouse-Query-Id": query_id, "X-ClickHouse-Timezone": "UTC"})
        try:
            return await self._answer(request, response)
        except (Refused, EngineError) as error:
            return await self._failure(request, response, error)
        except Busy:
            return await self._failure(
                request, response, Refused(202, "TOO_MANY_SIMULTANEOUS_QUERIES", "As many statements wait as may")
            )

    async def _answer(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        address: Mapping[str, str] = request.query
        access = self._admit(address, request.headers)
        if request.method not in ("GET", "POST"):
            raise Refused(48, "NOT_IMPLEMENTED", f"Method {request.method} is not known here")
        inserting = read_statement(address.get("query", "").encode()).inserts
        lane = self._runner.inserts if inserting else self._runner.queries
        # Its turn comes before its body is read, so that no more bodies are held than are worked on.
        async with lane.turn():
            address, source = await self._source(request, address)
            asked = read_asked(address, request.headers)
            if asked.native_blocks:
                raise Refused(48, "NOT_IMPLEMENTED", "Use Content-Encoding and Accept-Encoding for compression")
            if not asked.query and not source.strip():
                if request.method == "GET":
                    return await _ok(request)
                raise Refused(62, "SYNTAX_ERROR", "Syntax error: Empty query")
            job = _job(asked, source, request.method == "GET")
            job.access = access
            if access.reads_only and job.rows is not None:
                raise Refused(READONLY, "READONLY", "Cannot execute query in readonly mode: this user only reads")
            if (job.rows is not None) and not inserting:
                # The statement came with its rows in the body: that is another lane's.
                async with self._runner.inserts.turn():
                    return await self._run(request, response, asked, job)
            return await self._run(request, response, asked, job)

    def _admit(self, address: Mapping[str, str], headers: Mapping[str, str]) -> Access:
        if self._trusted:
            return TRUSTED
        user, password = credentials(address, headers)
        access = access_of(user, password, self._config.password)
        if access is None:
            message = f"{user}: Authentication failed: password is incorrect, or there is no user with such name"
            raise Refused(516, "AUTHENTICATION_FAILED", message)
        return access

    async def _source(self, request: web.Request, address: Any) -> tuple[Any, bytes]:
        """The parameters, and the body without its coding."""
        try:
            if request.content_type == "multipart/form-data":
                form = await request.post()
                fields = {name: value for name, value in form.items() if isinstance(value, str)}
                if len(fields) < len(form):
                    raise Refused(48, "NOT_IMPLEMENTED", "External data is not taken here")
                return {**address, **fields}, b""
            body = await request.read()
            return address, decoded(body, request.headers.get("Content-Encoding", ""), self._config.body_bytes)
        except CodingUnknown as error:
            raise Refused(48, "NOT_IMPLEMENTED", f"Unknown compression method: {error}") from None
        except BodyBroken as error:
            raise Refused(117, "INCORRECT_DATA", f"Cannot decompress: {error}") from None
        except (web.HTTPRequestEntityTooLarge, BodyTooLarge):
            most = self._config.body_bytes
            raise Refused(307, "TOO_MANY_BYTES", f"The body is larger than {most} bytes: send less at once") from None

    async def _run(
        self, request: web.Request, response: web.StreamResponse, asked: Asked, job: Job
    ) -> web.StreamResponse:
        self._metrics.begun(job)
        async with self._runner.running(job):
            held: list[bytes] = []
            size, more = 0, True
            while more and (asked.whole or size <= _HELD_BACK):
                piece = await job.piece()
                more = piece is not None
                held.append(piece or b"")
                size += len(held[-1])
                if size > self._config.answer_bytes:
                    raise Refused(396, "TOO_MANY_ROWS_OR_BYTES", "The answer is too large to be held back as a whole")
            response.headers["X-ClickHouse-Summary"] = summary(job.counts)
            response.headers["X-ClickHouse-Format"] = job.form
            response.content_type, _, rest = _TYPES.get(job.form, "text/plain; charset=UTF-8").partition("; ")
            if rest:
                response.headers["Content-Type"] += f"; {rest}"
            coding = chosen(request.headers.get("Accept-Encoding", "")) if asked.compressed else None
            encoder = ENCODERS[coding]() if coding else None
            if coding:
                response.headers["Content-Encoding"] = coding
            await response.prepare(request)
            for piece in held:
                await _write(response, piece, encoder)
            del held
            try:
                while more and (piece := await job.piece()) is not None:
                    await _write(response, piece, encoder)
            except EngineError as error:
                # The status is gone: the text says it, and the connection ends before the answer does.
                self._metrics.failed(job, error.code)
                await _write(response, f"\n{self._text(error)}".encode(), encoder)
                await _finish(response, encoder)
                if request.transport is not None:
                    request.transport.close()
                return response
            await _finish(response, encoder)
            self._metrics.done(job)
            return response

    async def _failure(
        self, request: web.Request, response: web.StreamResponse, error: Refused | EngineError
    ) -> web.StreamResponse:
        self._metrics.refused(error.code)
        headers = {**response.headers, "X-ClickHouse-Exception-Code": str(error.code)}
        headers.pop("Content-Type", None)
        if error.code == 516:
            headers["WWW-Authenticate"] = 'Basic realm="Headgate store"'
        return web.Response(status=status_of(error.code), text=self._text(error), headers=headers)

    def _text(self, error: Exception) -> str:
        return f"{str(error).rstrip()} (version {self._version} (official build))\n"


def summary(counts: Counts) -> str:
    """The header X-ClickHouse-Summary: numbers as texts."""
    numbers = {
        "read_rows": counts.read_rows,
        "read_bytes": counts.read_bytes,
        "written_rows": counts.written_rows,
        "written_bytes": counts.written_bytes,
        "total_rows_to_read": 0,
        "result_rows": counts.result_rows,
        "result_bytes": 0,
        "elapsed_ns": int(counts.seconds * 1e9),
    }
    return orjson.dumps({name: str(number) for name, number in numbers.items()}).decode()


def _job(asked: Asked, source: bytes, reads_only: bool) -> Job:
    given = asked.query.encode()
    in_address = bool(given.strip())
    statement = read_statement(given if in_address else source)
    rows, form, text = None, statement.form or asked.form, statement.text
    if statement.inserts:
        rows, form = _rows(statement, given if in_address else b"", source), form or "Values"
    elif in_address and source:
        text += b"\n" + source
    if statement.on_files:
        raise Refused(48, "NOT_IMPLEMENTED", "Files are neither read nor written for a client")
    if reads_only and not statement.selects and _verb(text) not in _READING:
        raise Refused(164, "READONLY", "Cannot execute query in readonly mode: send it by POST")
    try:
        said, rest = text.decode(), statement.rest.decode()
    except UnicodeDecodeError:
        raise Refused(62, "SYNTAX_ERROR", "Syntax error: the statement is not UTF-8") from None
    if "\0" in said + rest:
        raise Refused(62, "SYNTAX_ERROR", "Syntax error: the statement holds a zero byte")
    return Job(
        said,
        form or "TabSeparated",
        asked.database,
        asked.parameters,
        asked.settings,
        rows=rows,
        rest=rest,
        stream=statement.selects,
    )


_READING = frozenset(("SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK"))


def _verb(text: bytes) -> str:
    return next(iter(text.split(None, 1)), b"").decode(errors="replace").upper()


def _rows(statement: Statement, given: bytes, source: bytes) -> memoryview | bytes:
    if not given:
        return memoryview(source)[statement.rows :]
    inline = given[statement.rows :]
    return inline + b"\n" + source if inline.strip() else source


async def _ok(request: web.Request) -> web.StreamResponse:
    return web.Response(text="Ok.\n", content_type="text/html")


async def _write(response: web.StreamResponse, piece: bytes, encoder: Encoder | None) -> None:
    if coded := encoder.compress(piece) if encoder and piece else piece:
        await response.write(coded)


async def _finish(response: web.StreamResponse, encoder: Encoder | None) -> None:
    if encoder is not None and (rest := encoder.finish()):
        await response.write(rest)
    await response.write_eof()
