"""What the queries need of the store."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from headgate_service.store.parameter import Parameter


class Rows(Protocol):
    """Runs one statement with bound parameters.

    Raises StoreUnavailable, QueryTooSlow and QueryTooLarge.
    """

    async def query(
        self, sql: str, parameters: Mapping[str, Parameter], settings: Mapping[str, str] | None = None
    ) -> Sequence[Sequence[Any]]: ...
