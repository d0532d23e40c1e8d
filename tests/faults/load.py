"""Producers that send numbered events whatever happens, and tell the oracle what they heard."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp
import grpc
import orjson
from headgate.v1 import event_pb2, ingest_service_pb2_grpc
from headgate.v1.ingest_service_pb2 import IngestEventsRequest
from headgate.v1.outcome_pb2 import OUTCOME_ACCEPTED, OUTCOME_DUPLICATE, OUTCOME_REFUSED

from tests.end_to_end.conftest import Headgate
from tests.faults.oracle import Content, Oracle

OCCURRED = "2026-02-03T15:30:00.000Z"
# Of a request, by a client.
ANSWER_SECONDS = 10.0
HEARD = {OUTCOME_ACCEPTED: "acknowledged", OUTCOME_DUPLICATE: "acknowledged", OUTCOME_REFUSED: "refused"}
NOT_CONFIRMED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Unheard(Exception):
    """It is not known what became of the request."""


@dataclass
class Load:
    """Half of the producers speak HTTP and half gRPC; one request in eight holds what must be refused.

    A producer repeats a request under its idempotency key, or its events' ids, until it is answered. One in `gives_up`
    is not repeated: its events stay unknown.
    """

    headgate: Headgate
    oracle: Oracle
    random: Random
    producers: int = 8
    pause: float = 0.1
    gives_up: int = 20
    stopping: bool = False
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _run: str = ""

    async def run(self) -> None:
        self._run = self._run or f"{self.random.getrandbits(32):x}"
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session,
            asyncio.TaskGroup() as tasks,
        ):
            for number in range(self.producers):
                send = self._over_http(session) if number % 2 else self._over_grpc()
                tasks.create_task(self._produce(*send))

    async def _produce(self, good: "Send", bad: "Send") -> None:
        while not self.stopping:
            send = bad if self.random.random() < 1 / 8 else good
            await send()
            await asyncio.sleep(self.random.random() * 2 * self.pause)

    def _issue(self, count: int) -> list[str]:
        ids = [f"{self._run}.{next(self._numbers)}" for _ in range(count)]
        self.oracle.issued.update(ids)
        return ids

    async def _until_heard(self, attempt: "Send") -> None:
        """Repeats it while nobody learns what became of it, but for those that give up at once."""
        patient = self.random.randrange(self.gives_up) > 0
        while True:
            try:
                return await attempt()
            except Unheard:
                if not patient:
                    return None
            await asyncio.sleep(0.05 + self.random.random() / 5)

    # HTTP, in batches under an idempotency key: one bad event refuses all of them.

    def _over_http(self, session: aiohttp.ClientSession) -> "tuple[Send, Send]":
        async def good() -> None:
            ids = self._issue(self.random.choice([1, 10, 40]))
            await self._post(session, ids, [self._http_event(one) for one in ids], 200, self.oracle.acknowledged)

        async def bad() -> None:
            ids = self._issue(3)
            events = [self._http_event(one) for one in ids]
            del events[1]["distinctId"]
            await self._post(session, ids, events, 400, self.oracle.refused)

        return good, bad

    def _http_event(self, event_id: str) -> dict[str, Any]:
        says = self.oracle.content(event_id)
        return {
            "event": says.name,
            "timestamp": OCCURRED,
            "distinctId": says.distinct_id,
            "sessionId": says.session_id,
            "properties": says.properties,
        }

    async def _post(
        self, session: aiohttp.ClientSession, ids: list[str], events: list[Any], expected: int, heard: set[str]
    ) -> None:
        headers = {
            "X-API-Key": self.headgate.keys["public"],
            "Idempotency-Key": ids[0],
            "Content-Type": "application/json",
        }
        body = orjson.dumps(events)

        async def attempt() -> None:
            try:
                async with session.post(self.headgate.http, data=body, headers=headers) as answer:
                    text = await answer.text()
            except (aiohttp.ClientError, TimeoutError):
                raise Unheard from None
            if answer.status == 503:
                raise Unheard
            if answer.status == expected:
                heard.update(ids)
            else:
                self.oracle.surprises.append(f"{answer.status} {text[:300]}")

        await self._until_heard(attempt)

    # gRPC, each event under an id of its own: a bad event is refused alone.

    def _over_grpc(self) -> "tuple[Send, Send]":
        async def good() -> None:
            await self._call(self._issue(self.random.choice([1, 5, 30])), {})

        async def bad() -> None:
            ids = self._issue(4)
            await self._call(ids, {ids[2]: ""})

        return good, bad

    async def _call(self, ids: list[str], names: dict[str, str]) -> None:
        request = IngestEventsRequest(events=[self._grpc_event(one, names) for one in ids])
        metadata = [("authorization", f"Bearer {self.headgate.keys['secret']}")]

        async def attempt() -> None:
            try:
                async with grpc.aio.insecure_channel(self.headgate.grpc) as channel:
                    stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
                    answer = await stub.IngestEvents(request, metadata=metadata, timeout=ANSWER_SECONDS)
            except grpc.aio.AioRpcError as error:
                if error.code() in NOT_CONFIRMED:
                    raise Unheard from None
                self.oracle.surprises.append(f"{error.code()} {error.details()}")
                return
            for result in answer.results:
                self._hear(ids[result.index], result.outcome)

        await self._until_heard(attempt)

    def _hear(self, event_id: str, outcome: int) -> None:
        heard = HEARD.get(outcome)
        if heard is None:
            self.oracle.surprises.append(f"{event_id}: outcome {outcome}")
        else:
            getattr(self.oracle, heard).add(event_id)

    def _grpc_event(self, event_id: str, names: dict[str, str]) -> event_pb2.Event:
        says: Content = self.oracle.content(event_id)
        event = event_pb2.Event(
            event_id=event_id,
            name=names.get(event_id, says.name),
            distinct_id=says.distinct_id,
            session_id=says.session_id,
            properties_json=json.dumps(says.properties).encode(),
        )
        event.occur_time.FromJsonString(OCCURRED)
        return event


Send = Callable[[], Awaitable[None]]
