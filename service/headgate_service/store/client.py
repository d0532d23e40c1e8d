"""The store as the service asks it: over ClickHouse's HTTP protocol, with bound parameters."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import orjson
from headgate_sinks.transport.clickhouse import StoreAddress

from headgate_service.errors import StoreFailed


class Identifier(str):
    """The name of a column, or of a part of one, which ClickHouse reads as it stands."""

    __slots__ = ()


Parameter = str | int | float | Sequence[str] | Sequence[int] | Sequence[float]

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0", "\b": "\\b", "\f": "\\f"})
_IN_QUOTES = _ESCAPES | {ord("'"): "\\'"}


def written(value: Parameter) -> str:
    """The text of `param_x`."""
    if isinstance(value, Identifier):
        return str(value)
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    if isinstance(value, Sequence):
        return "[" + ",".join(map(_element, value)) + "]"
    return _number(value)


def _element(value: str | float) -> str:
    return "'" + value.translate(_IN_QUOTES) + "'" if isinstance(value, str) else _number(value)


def _number(value: float) -> str:
    return repr(int(value)) if isinstance(value, bool) else repr(value)


_CODE = re.compile(r"Code: (\d+)\. ")
_MAX_MESSAGE = 500
# ClickHouse's own numbers of its errors, from its ErrorCodes.cpp.
_SLOW = frozenset((159, 160, 209, 394))
_LARGE = frozenset((158, 161, 191, 241, 307, 396))
_UNAVAILABLE = frozenset((193, 194, 202, 210, 242, 252, 279, 516))
_SETTINGS = {
    # The status is sent once it is known how the query ended.
    "wait_end_of_query": "1",
    "output_format_json_quote_64bit_integers": "0",
}


class StoreUnavailable(StoreFailed):
    """It does not answer, or takes no more at the moment: ask again later."""


class QueryTooSlow(StoreFailed):
    """The answer takes longer than the query may."""


class QueryTooLarge(StoreFailed):
    """The query needs more rows, bytes or memory than it may."""


class QueryRefused(StoreFailed):
    """The store says that the query is wrong. `number` is ClickHouse's of the error."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


class Store:
    """Asks one store. `url` is that of `[store]`; `deadline` is in seconds, for a whole query and its way."""

    def __init__(self, url: str, deadline: float = 15.0) -> None:
        self._address = StoreAddress.parse(url)
        self._deadline = deadline
        self._session: aiohttp.ClientSession | None = None

    async def query(
        self, sql: str, parameters: Mapping[str, Parameter] | None = None, settings: Mapping[str, str] | None = None
    ) -> Sequence[Sequence[Any]]:
        """The rows, each with its values in the order of the columns; integers are exact.

        `sql` names no format and holds `{x:Type}` for each parameter x. Raises StoreUnavailable, QueryTooSlow,
        QueryTooLarge and QueryRefused.
        """
        text = await self._ask(sql, parameters, {**_SETTINGS, **(settings or {})}, "JSONCompactEachRow")
        return [orjson.loads(line) for line in text.split(b"\n") if line]

    async def command(
        self,
        sql: str,
        parameters: Mapping[str, Parameter] | None = None,
        settings: Mapping[str, str] | None = None,
        *,
        deadline: float | None = None,
    ) -> bytes:
        """The answer to a statement, as TabSeparated. Raises as `query` does."""
        return await self._ask(sql, parameters, {**_SETTINGS, **(settings or {})}, "TabSeparated", deadline)

    async def read(self, sql: str, parameters: Mapping[str, Parameter], form: str) -> bytes:
        """The answer in another format. Raises as `query` does."""
        return await self._ask(sql, parameters, _SETTINGS, form)

    async def close(self) -> None:
        """A second call does nothing."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(
        self,
        sql: str,
        parameters: Mapping[str, Parameter] | None,
        settings: Mapping[str, str],
        form: str,
        deadline: float | None = None,
    ) -> bytes:
        if self._session is None:
            self._session = self._address.session(self._deadline)
        bound = {f"param_{name}": written(value) for name, value in (parameters or {}).items()}
        asked = {"database": self._address.database, "default_format": form, **settings, **bound}
        timeout = aiohttp.ClientTimeout(total=deadline or self._deadline)
        try:
            async with self._session.post(
                self._address.url, params=asked, data=sql.encode(), timeout=timeout, allow_redirects=False
            ) as response:
                answer = await response.read()
        except TimeoutError:
            raise QueryTooSlow("the store did not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise StoreUnavailable(f"no answer from the store: {type(error).__name__}") from None
        if response.status != 200 or "X-ClickHouse-Exception-Code" in response.headers:
            raise failure(response.status, response.headers, answer.decode(errors="replace"))
        return answer


def failure(status: int, headers: Mapping[str, str], text: str) -> StoreFailed:
    """What an answer that is none means."""
    given, found = headers.get("X-ClickHouse-Exception-Code", ""), _CODE.search(text)
    code = int(given) if given.isascii() and given.isdigit() else int(found[1]) if found else None
    said = text.strip()[:_MAX_MESSAGE]
    if code is None or code in _UNAVAILABLE:
        return StoreUnavailable(f"the store answers {status}: {said}")
    if code in _SLOW:
        return QueryTooSlow(said)
    if code in _LARGE:
        return QueryTooLarge(said)
    return QueryRefused(code, said)
