"""The store under the limits of one query."""

import asyncio
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from headgate_service.errors import QueryOverLimit, QueryTimeout, StoreDown
from headgate_service.store import client
from headgate_service.store.client import Parameter


class Rows(Protocol):
    """Runs one statement with bound parameters.

    Raises StoreUnavailable, QueryTooSlow and QueryTooLarge.
    """

    async def query(
        self, sql: str, parameters: Mapping[str, Parameter], settings: Mapping[str, str] | None = None
    ) -> Sequence[Sequence[Any]]: ...


MAX_SECONDS = 10.0
MAX_MEMORY = 4 * 1024**3
"""Bytes that a query may take of a server of one's own; the embedded store sets a limit of its own."""
# Of the way there and back; the engine ends a query in time by itself.
_MARGIN_SECONDS = 1.0
_CANNOT_COMPILE_REGEXP = 427
_SETTINGS = {
    # The statements rely on these, whatever the server's own are.
    "enable_analyzer": "1",
    "group_by_use_nulls": "0",
    "prefer_column_name_to_alias": "0",
    "transform_null_in": "0",
    "aggregate_functions_null_for_empty": "0",
    "max_rows_to_read": str(2_000_000_000),
    "max_result_rows": "20000",
    "timeout_overflow_mode": "throw",
    "read_overflow_mode": "throw",
    "result_overflow_mode": "throw",
}
_REASON = re.compile(r"cannot compile re2: .*?, error: ([^:]{1,200})", re.DOTALL)


class PatternInvalid(Exception):
    """A regular expression that the engine, whose syntax is RE2's, does not take; the message says why."""


class LimitedStore:
    """Asks the store for one query, of which all statements together may take `MAX_SECONDS`.

    Raises QueryTimeout, StoreDown and QueryOverLimit.
    """

    def __init__(self, store: Rows, clock: Callable[[], float], most_memory: int | None) -> None:
        self._store = store
        self._settings = _SETTINGS | ({"max_memory_usage": str(most_memory)} if most_memory else {})
        self._clock = clock
        self._until = clock() + MAX_SECONDS

    async def query(
        self, sql: str, parameters: Mapping[str, Parameter], settings: Mapping[str, str] | None = None
    ) -> Sequence[Sequence[Any]]:
        left = self._until - self._clock()
        if left <= 0:
            raise _timeout()
        limits = {**self._settings, **(settings or {}), "max_execution_time": str(math.ceil(left))}
        try:
            async with asyncio.timeout(left + _MARGIN_SECONDS):
                return await self._store.query(sql, parameters, limits)
        except (TimeoutError, client.QueryTooSlow):
            raise _timeout() from None
        except client.QueryTooLarge:
            message = "the query needs more memory or rows than one may: narrow the range or the filter"
            raise QueryOverLimit("query_too_large", message) from None
        except client.StoreUnavailable:
            raise StoreDown("the store does not answer: retry") from None
        except client.QueryRefused as error:
            if error.number != _CANNOT_COMPILE_REGEXP:
                raise
            found = _REASON.search(str(error))
            raise PatternInvalid(found[1] if found else "it cannot be compiled") from None


def _timeout() -> QueryTimeout:
    return QueryTimeout(f"the query took longer than {MAX_SECONDS:.0f} s: narrow the range or the filter")
