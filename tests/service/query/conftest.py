"""The store that the tests of queries ask: the embedded engine, or whatever speaks ClickHouse's protocol at
HEADGATE_TEST_STORE_URL, whose database must be there."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from headgate_service.store.client import Parameter, Store, failure, written
from headgate_service.store.engine import Engine, EngineError
from headgate_service.store.schema import INSERT_SETTINGS, migrate

sys.path.insert(0, str(Path(__file__).parent))

from reference import Happened

Value = TypeVar("Value")


class Asked(Protocol):
    async def query(
        self, sql: str, parameters: Mapping[str, Parameter], settings: Mapping[str, str] | None = None
    ) -> Sequence[Sequence[Any]]: ...

    async def insert(self, sql: str) -> None: ...


class InProcess:
    """The embedded engine without its protocol."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def query(
        self, sql: str, parameters: Mapping[str, Parameter], settings: Mapping[str, str] | None = None
    ) -> Sequence[Sequence[Any]]:
        bound = {name: written(value) for name, value in parameters.items()}
        try:
            text = self._engine.query(sql, bound, settings, form="JSONCompactEachRow")
        except EngineError as error:
            raise failure(500, {}, str(error)) from None
        return [json.loads(line) for line in text.split(b"\n") if line]

    async def insert(self, sql: str) -> None:
        self._engine.query(sql, settings=INSERT_SETTINGS)


class ByHttp:
    """Any store, by the client of the service."""

    def __init__(self, url: str) -> None:
        self._store = Store(url)
        self.query = self._store.query

    async def insert(self, sql: str) -> None:
        await self._store.command(sql, settings=INSERT_SETTINGS)


class Filled:
    """A store that projects of any number can be put into."""

    table = "events"

    def __init__(self, asked: Asked, runner: asyncio.Runner) -> None:
        self.rows = asked
        self._runner = runner

    def run(self, work: Coroutine[Any, Any, Value]) -> Value:
        return self._runner.run(work)

    def project(self, events: Iterable[Happened]) -> str:
        """The id of a new project that has these events."""
        project_id = uuid.uuid4().hex
        if lines := "\n".join(json.dumps(row(project_id, event)) for event in events):
            self.run(self.rows.insert(f"INSERT INTO events FORMAT JSONEachRow {lines}"))
        return project_id


def row(project_id: str, event: Happened) -> dict[str, Any]:
    return {
        "project_id": project_id,
        "event_id": uuid.uuid4().hex,
        "event": event.event,
        "ts": f"{event.ms // 1000}.{event.ms % 1000:03d}",
        "distinct_id": event.distinct_id,
        "user_id": event.user_id,
        "session_id": event.session_id,
        "test": event.test,
        "weight": event.weight,
        **event.columns,
        "properties_raw": json.dumps(event.properties, ensure_ascii=False) if event.properties else "",
    }


@pytest.fixture(scope="session")
def filled(request: pytest.FixtureRequest) -> Iterator[Filled]:
    with asyncio.Runner() as runner:
        url = os.environ.get("HEADGATE_TEST_STORE_URL")
        if url is None:
            yield Filled(InProcess(request.getfixturevalue("_engine")), runner)
            return
        store = Store(url)

        def ask(sql: str) -> bytes:
            return runner.run(store.command(sql))

        migrate(ask)
        runner.run(store.close())
        yield Filled(ByHttp(url), runner)
