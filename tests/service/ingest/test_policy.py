"""What senders hear, and the books hold, where a project has a policy. Everything real."""

import asyncio
import json
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
import redis.asyncio as redis_async
from headgate.v1 import outcome_pb2
from headgate.v1.event_pb2 import Event
from headgate.v1.ingest_service_pb2 import (
    ExperimentsWanted,
    GatheredRequest,
    IngestEventsRequest,
    IngestGatheredRequest,
)
from headgate.v1.log_pb2 import LogEntry
from headgate.v1.receipt_service_pb2 import GetReceiptRequest
from headgate_dialects.builtin.xaiku import Xaiku
from headgate_service.api.rpc_status import GRPC_STATUS
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import DeployRow, ProjectRow
from headgate_service.deploys.deploys import Deploys
from headgate_service.directory.project import Project, living_project
from headgate_service.log.reader import read_entries
from headgate_service.model.rate_limit import RateLimit
from headgate_service.projects.projects import Projects
from headgate_service.redis.keys import shard_keys

TOKEN = "gateway-token-of-the-tests"
AMOUNT = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number"}}}


def not_recorded(*_: Any) -> None:
    """An audit log that nobody reads."""


class Policied:
    """A running service whose default project gets configs."""

    def __init__(self, service: Any, database: ControlDb, redis: redis_async.Redis) -> None:
        self.service = service
        self.database = database
        self.projects = Projects(database, random=secrets.token_bytes, now_ms=lambda: 0)
        self.deploys = Deploys(database, lambda: time.time_ns() // 1_000_000)
        self.redis = redis

    async def deploy(self, **config: Any) -> None:
        """Deploys, and returns when the service judges by it, which is told from a switch of its own."""
        marker = f"marker-{time.monotonic_ns()}"
        events = config.pop("events", {}) | {marker: {"enabled": False}}
        async with self.database.read() as session:
            project = Project.of(await living_project(session, "default"))
        await self.deploys.deploy(project, {"formatVersion": 1, "events": events, **config}, "test", not_recorded)
        async with asyncio.timeout(5):
            while (await self.send(Event(name=marker), dry_run=True)).results[0].outcome != outcome_pb2.OUTCOME_DROPPED:
                await asyncio.sleep(0.05)

    async def send(self, *events: Event, **request: Any) -> Any:
        return await self.service.ingest.IngestEvents(
            IngestEventsRequest(events=events, **request), metadata=self.service.bearer()
        )

    async def gathered(self, *events: Event, dialect: Any = Xaiku, **request: Any) -> Any:
        one = GatheredRequest(
            access=dialect.api.access, credential=self.service.keys["public"], entry=LogEntry(events=events), **request
        )
        answers = await self.service.ingest.IngestGathered(
            IngestGatheredRequest(requests=[one]), metadata=[("headgate-gateway-token", TOKEN)]
        )
        return answers.answers[0]

    async def books(self, expected: dict[str, int]) -> None:
        """The books hold this, over all hours; refusals are in them within a second or so."""
        found: dict[str, int] = {}
        for _ in range(60):
            found = {}
            for name, events in (await self.redis.hgetall((await self.keys()).use)).items():
                if name.startswith(b"h:"):
                    counted = name.decode().split(":", 2)[2]
                    found[counted] = found.get(counted, 0) + int(events)
            if found == expected:
                return
            await asyncio.sleep(0.05)
        assert found == expected

    async def stored(self) -> list[Event]:
        entries = await read_entries(self.redis, await self.keys(), "0-0", 1000)
        return [event for entry in entries for event in entry.events()]

    async def keys(self) -> Any:
        async with self.database.read() as session:
            row = await session.get_one(ProjectRow, self.service.project_id)
            return shard_keys(row.shard).project(row.id)

    async def everything_written(self) -> bytes:
        """All that Redis holds."""
        found = []
        async for key in self.redis.scan_iter():
            found.append(key)
            found.append(await self.redis.dump(key) or b"")
        entries = await self.stored()
        return b"".join(found) + b"".join(event.SerializeToString() for event in entries)


@pytest.fixture
async def policied(start_service: Callable[..., Awaitable[Any]], redis: redis_async.Redis) -> AsyncIterator[Policied]:
    service = await start_service()
    database = ControlDb(service.config.database_url)
    yield Policied(service, database, redis)
    await database.close()


@asynccontextmanager
async def refused(code: grpc.StatusCode) -> AsyncIterator[list[grpc.aio.AioRpcError]]:
    caught: list[grpc.aio.AioRpcError] = []
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        yield caught
    caught.append(raised.value)
    assert raised.value.code() == code


def told(row: outcome_pb2.EventResult) -> tuple[int, str, str]:
    outcome, reason = outcome_pb2.Outcome.Name(row.outcome), outcome_pb2.Reason.Name(row.reason)
    return row.index, outcome.removeprefix("OUTCOME_"), reason.removeprefix("REASON_")


def buy(amount: Any, **fields: Any) -> Event:
    return Event(name="buy", properties_json=json.dumps({"amount": amount}).encode(), **fields)


async def test_each_event_of_a_request_hears_what_became_of_it_and_the_books_hold_all_of_them(policied: Policied):
    await policied.deploy(
        events={"off": {"enabled": False}, "rare": {"sample": 0}, "buy": {"schema": AMOUNT, "schemaMode": "enforce"},
                "seen": {"schema": AMOUNT}},
        ignoredEnvironments={"fields": {"properties.env": ["dev"]}},
    )  # fmt: skip
    sent = (
        Event(name="off"),
        buy(1, event_id="e1"),
        buy("x"),
        Event(name="rare", distinct_id="u"),
        Event(name="seen"),
        buy(2, event_id="e1"),
        Event(name="view", properties_json=b'{"env":"dev"}'),
        Event(),
    )
    response = await policied.send(*sent)
    assert [told(row) for row in response.results] == [
        (0, "DROPPED", "SWITCHED_OFF"),
        (1, "ACCEPTED", "UNSPECIFIED"),
        (2, "REFUSED", "SCHEMA"),
        (3, "DROPPED", "SAMPLED"),
        (4, "ACCEPTED", "UNSPECIFIED"),
        (5, "DUPLICATE", "UNSPECIFIED"),
        (6, "DROPPED", "IGNORED_ENVIRONMENT"),
        (7, "REFUSED", "INVALID"),
    ]
    assert (response.results[2].field, response.results[2].message) == ("properties.amount", 'is not of type "number"')
    assert list(response.results[4].warnings) == ["properties.amount: is required"]
    assert response.warned == 1
    assert [event.name for event in await policied.stored()] == ["buy", "seen"]
    receipt = await policied.service.receipts.GetReceipt(GetReceiptRequest(receipt=response.receipt))
    counted = (receipt.received, receipt.accepted, receipt.duplicate, receipt.dropped, receipt.refused)
    assert counted == (8, 2, 1, 3, 2)
    await policied.books(
        {
            "accepted": 2,
            "duplicate": 1,
            "dropped:SWITCHED_OFF": 1,
            "dropped:SAMPLED": 1,
            "dropped:IGNORED_ENVIRONMENT": 1,
            "refused:SCHEMA": 1,
            "refused:INVALID": 1,
            "warned:SCHEMA": 1,
        }
    )


async def test_a_request_of_which_all_is_dropped_is_a_success_that_counts_no_rate_and_no_quota(policied: Policied):
    await policied.projects.set_plan("default", monthly_limit=1, rate_limit=RateLimit(1, 60_000))
    await policied.deploy(events={"off": {"enabled": False}})
    for _ in range(3):
        answer = await policied.gathered(*[Event(name="off")] * 3)
        receipt = await policied.service.receipts.GetReceipt(GetReceiptRequest(receipt=answer.response.receipt))
        assert (receipt.received, receipt.accepted, receipt.dropped) == (3, 0, 3)
        assert not answer.response.HasField("receive_time")
        assert (answer.response.limits.month.used, answer.response.limits.rate.used) == (0, 0)
    await policied.books({"dropped:SWITCHED_OFF": 9})


async def test_a_repeat_hears_the_first_answer_whatever_the_policy_has_become(policied: Policied):
    await policied.deploy(events={"off": {"enabled": False}, "seen": {"schema": AMOUNT}})
    request = {"idempotency_key": "k1"}
    sent = (Event(name="off"), Event(name="view"), Event(name="seen"), Event(name="off"))
    first = await policied.send(*sent, **request)
    await policied.deploy(events={"view": {"enabled": False}, "off": {"schema": AMOUNT, "schemaMode": "enforce"}})
    again = await policied.send(*sent, **request)
    assert again.replayed
    assert list(again.results) == list(first.results)
    assert (again.receipt, again.warned) == (first.receipt, 1)
    await policied.books({"accepted": 2, "dropped:SWITCHED_OFF": 2, "warned:SCHEMA": 1})


async def test_the_drops_of_requests_that_the_log_judges_together_are_all_counted(policied: Policied):
    await policied.deploy(events={"off": {"enabled": False}})
    entry = LogEntry(events=[Event(name="off"), Event(name="view"), Event(name="off")])
    key = policied.service.keys["public"]
    requests = [GatheredRequest(access=Xaiku.api.access, credential=key, entry=entry)] * 20
    await policied.service.ingest.IngestGathered(
        IngestGatheredRequest(requests=requests), metadata=[("headgate-gateway-token", TOKEN)]
    )
    await policied.books({"accepted": 20, "dropped:SWITCHED_OFF": 40})


async def test_a_repeat_of_a_request_that_was_dropped_whole_is_not_counted_again(policied: Policied):
    await policied.deploy(events={"off": {"enabled": False}})
    made = set()
    for replayed in (False, True, True):
        response = await policied.send(Event(name="off"), idempotency_key="k1")
        assert response.replayed == replayed
        assert response.results[0].outcome == outcome_pb2.OUTCOME_DROPPED
        made.add(response.results[0].event_id)
    assert len(made) == 1
    assert "" not in made
    async with refused(grpc.StatusCode.FAILED_PRECONDITION):
        await policied.send(Event(name="off", user_id="other"), idempotency_key="k1")
    await policied.books({"dropped:SWITCHED_OFF": 1, "refused:IDEMPOTENCY_MISMATCH": 1})


async def test_an_all_or_nothing_request_with_an_event_that_does_not_fit_is_refused_whole(policied: Policied):
    await policied.deploy(events={"buy": {"schema": AMOUNT, "schemaMode": "enforce"}, "off": {"enabled": False}})
    async with refused(grpc.StatusCode.INVALID_ARGUMENT) as caught:
        await policied.send(buy(1), buy("x"), Event(name="off"), all_or_nothing=True, idempotency_key="k1")
    status = dict(caught[0].trailing_metadata())["grpc-status-details-bin"]
    assert b"events[1].properties.amount" in status
    answer = await policied.gathered(buy(1), buy("x"), all_or_nothing=True)
    assert answer.refusal.cause == outcome_pb2.CAUSE_INVALID
    assert [(fault.index, fault.field) for fault in answer.refusal.faults] == [(1, "properties.amount")]
    # It was no success, so that its key is free for what mends it.
    response = await policied.send(buy(1), buy(2), all_or_nothing=True, idempotency_key="k1")
    assert [row.outcome for row in response.results] == [outcome_pb2.OUTCOME_ACCEPTED] * 2
    await policied.books({"accepted": 2, "refused:SCHEMA": 5})


async def test_very_many_events_that_do_not_fit_are_still_refused_for_what_they_are(policied: Policied):
    many = {f"a_property_of_some_length_{n}": {"type": "number"} for n in range(20)}
    await policied.deploy(events={"buy": {"schema": {"required": [*many]}, "schemaMode": "enforce"}})
    async with refused(grpc.StatusCode.INVALID_ARGUMENT) as caught:
        await policied.send(*[buy(n) for n in range(500)], all_or_nothing=True)
    status = dict(caught[0].trailing_metadata())["grpc-status-details-bin"]
    assert b"events[10].properties" in status
    answer = await policied.gathered(*[buy(n) for n in range(500)], all_or_nothing=True)
    assert len(answer.refusal.faults) == 100


async def test_a_success_stays_one_where_its_repeat_would_not_fit_any_more(policied: Policied):
    first = await policied.send(buy("x"), all_or_nothing=True, idempotency_key="k1")
    await policied.deploy(events={"buy": {"schema": AMOUNT, "schemaMode": "enforce"}})
    again = await policied.send(buy("x"), all_or_nothing=True, idempotency_key="k1")
    assert again.replayed
    assert list(again.results) == list(first.results)
    await policied.books({"accepted": 1})


async def test_a_gathered_answer_names_only_the_events_of_which_there_is_something_to_say(policied: Policied):
    await policied.deploy(
        events={
            "off": {"enabled": False},
            "seen": {"schema": AMOUNT},
            "buy": {"schema": AMOUNT, "schemaMode": "enforce"},
        }
    )
    answer = await policied.gathered(Event(name="view"), Event(name="off"), buy("x"), Event(name="seen"))
    rows = {row.index: row.outcome for row in answer.response.results}
    assert rows == {
        1: outcome_pb2.OUTCOME_DROPPED,
        2: outcome_pb2.OUTCOME_REFUSED,
        3: outcome_pb2.OUTCOME_ACCEPTED,
    }
    assert answer.response.warned == 1
    nothing = await policied.gathered(buy("x"), buy("y"), idempotency_key="k1", body_hash=b"h" * 32)
    assert not nothing.response.receipt
    assert [row.outcome for row in nothing.response.results] == [outcome_pb2.OUTCOME_REFUSED] * 2
    await policied.books({"accepted": 2, "dropped:SWITCHED_OFF": 1, "refused:SCHEMA": 3, "warned:SCHEMA": 1})


async def test_a_dry_run_shows_what_the_policy_does_and_writes_nothing(policied: Policied):
    await policied.deploy(
        events={"off": {"enabled": False}, "half": {"sample": 0.5}},
        pii=[{"path": "user_id", "action": "mask"}],
    )
    users = [Event(name="half", user_id=f"bob{n}") for n in range(20)]
    answer = await policied.gathered(Event(name="off", user_id="bob"), *users, dry_run=True)
    assert {event.sample_weight for event in answer.dry_run_events} == {2.0}
    dropped = [row for row in answer.response.results if row.outcome == outcome_pb2.OUTCOME_DROPPED]
    assert len(answer.dry_run_events) + len(dropped) == 21
    assert b"bob" not in answer.SerializeToString()
    await policied.books({})
    assert await policied.stored() == []


async def test_personal_data_is_written_nowhere(policied: Policied):
    await policied.deploy(
        pii=[{"path": "user_id", "action": "hash"}, {"path": "properties.email", "action": "mask"},
             {"path": "page.href.query", "action": "drop"}],
        ip="truncate",
    )  # fmt: skip
    event = Event(name="view", user_id="wilhelm13", properties_json=b'{"email":"wilhelm13@example.com"}')
    event.page.href = "https://example.com/?who=wilhelm13"
    event.request.client_ip = "203.0.113.77"
    answer = await policied.gathered(event, idempotency_key="k1", body_hash=b"h" * 32)
    assert answer.response.receipt
    written = await policied.everything_written()
    assert b"wilhelm13" not in written
    assert b"203.0.113.77" not in written
    (stored,) = await policied.stored()
    assert stored.request.client_ip == "203.0.113.0"
    assert stored.distinct_id == stored.user_id != ""


async def test_an_origin_that_is_not_allowed_is_refused_and_counted(policied: Policied):
    await policied.deploy(origins=["https://shop.example"])
    good = await policied.gathered(Event(name="view"), origin="https://shop.example")
    none = await policied.gathered(Event(name="view"))
    assert good.response.receipt
    assert none.response.receipt
    for events in ([Event(name="view")] * 2, []):
        bad = await policied.gathered(*events, origin="https://evil.example")
        assert bad.refusal.cause == outcome_pb2.CAUSE_ORIGIN_FORBIDDEN
    assert GRPC_STATUS[bad.refusal.cause] == grpc.StatusCode.PERMISSION_DENIED
    await policied.books({"accepted": 2, "refused:ORIGIN_FORBIDDEN": 2})


async def test_experiments_are_those_of_the_active_config(policied: Policied):
    async def asked(**wanted: Any) -> list[str]:
        answer = await policied.gathered(experiments=ExperimentsWanted(**wanted))
        return [experiment["id"] for experiment in json.loads(answer.experiments_json or b"[]")]

    assert await asked() == []
    named: dict[str, Any] = {"variants": [{"id": "x"}]}
    numbered: dict[str, Any] = {"variants": [{"id": 7, "weight": 2}]}
    await policied.deploy(experiments=[{"id": "a"} | named, {"id": "b"} | numbered, {"id": "t", "test": True} | named])
    assert await asked() == ["a", "b"]
    assert await asked(test=True) == ["a", "b", "t"]
    assert await asked(ids=["b", "t"]) == ["b"]
    whole = await policied.gathered(experiments=ExperimentsWanted(ids=["a"]))
    assert json.loads(whole.experiments_json) == [{"id": "a"} | named]
    whole = await policied.gathered(experiments=ExperimentsWanted(ids=["b"]))
    assert json.loads(whole.experiments_json) == [{"id": "b"} | numbered]


async def test_a_version_that_cannot_be_read_leaves_the_one_before_it_in_force(policied: Policied, start_service):
    await policied.deploy(events={"off": {"enabled": False}})
    await _activate_unreadable(policied, 2)
    await asyncio.sleep(1.5)
    assert (await policied.send(Event(name="off"))).results[0].outcome == outcome_pb2.OUTCOME_DROPPED
    # Also for a process that never knew the version before.
    await policied.service.stop()
    policied.service = await start_service()
    assert (await policied.send(Event(name="off"))).results[0].outcome == outcome_pb2.OUTCOME_DROPPED


async def test_a_project_none_of_whose_versions_can_be_read_is_refused_as_not_confirmed(policied: Policied):
    await _activate_unreadable(policied, 1)
    await asyncio.sleep(1.5)
    async with refused(grpc.StatusCode.UNAVAILABLE) as caught:
        await policied.send(Event(name="view"))
    assert "config cannot be read" in str(caught[0].details())


async def _activate_unreadable(policied: Policied, version: int) -> None:
    """As a newer release would."""
    async with policied.database.change() as (session, change):
        project = policied.service.project_id
        unreadable = {"config": '{"formatVersion":99}', "changed": [], "created_by": "", "created_at": 0}
        session.add(DeployRow(project_id=project, version=version, **unreadable))
        row = await session.get_one(ProjectRow, project)
        row.deploy_version, row.change = version, change


@pytest.mark.parametrize("seed", range(3))
async def test_received_is_accepted_and_duplicate_and_dropped_and_refused_whatever_comes(policied: Policied, seed: int):
    await policied.projects.set_plan("default", monthly_limit=60)
    await policied.deploy(
        events={"off": {"enabled": False}, "half": {"sample": 0.5}, "buy": {"schema": AMOUNT, "schemaMode": "enforce"}}
    )
    choose = random.Random(seed)
    received, told = 0, dict.fromkeys(("accepted", "duplicate", "dropped", "refused"), 0)
    for number in range(40):
        events = [
            choose.choice([
                Event(name="off"), Event(name="half", user_id=f"u{choose.randrange(9)}"), buy("x"), buy(1), Event(),
                Event(name="view", event_id=f"e{choose.randrange(12)}"),
            ])
            for _ in range(choose.randrange(1, 6))
        ]  # fmt: skip
        request = {"all_or_nothing": choose.random() < 0.2, "idempotency_key": choose.choice(["", f"k{number}"])}
        received += len(events)
        try:
            response = await policied.send(*events, **request)
        except grpc.aio.AioRpcError:
            told["refused"] += len(events)
            continue
        for row in response.results:
            told[outcome_pb2.Outcome.Name(row.outcome).removeprefix("OUTCOME_").lower()] += 1
        if response.receipt and request["idempotency_key"]:
            # A repeat is counted nowhere.
            again = await policied.send(*events, **request)
            assert again.replayed
            assert list(again.results) == list(response.results)
    assert sum(told.values()) == received

    async def books() -> dict[str, int]:
        raw = await policied.redis.hgetall((await policied.keys()).use)
        sums = dict.fromkeys(told, 0)
        for name, events in raw.items():
            what = name.decode().split(":")
            if what[0] == "h" and what[2] in sums:
                sums[what[2]] += int(events)
        return sums

    async with asyncio.timeout(5):
        while await books() != told:
            await asyncio.sleep(0.05)
