"""append.lua against a plain model of what it must decide: whatever requests come, in whatever order and company."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis as redis_sync
from headgate.v1 import event_pb2
from headgate_service.log.append import Append, Appender, First, Idempotency, LogProject, Rate, Verdict
from headgate_service.log.entry import encode
from headgate_service.log.reader import entry
from headgate_service.redis.pipeline import RedisPipeline
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

SHARD, PROJECT = 7, "prj_a"
KEYS = LogProject(PROJECT, SHARD, None).keys
WINDOW_MS = 3_600_000


@dataclass
class Model:
    """What the log holds and knows. A request is judged as `append` says."""

    names: list[str] = field(default_factory=list)
    entry_bytes: int = 0
    settled_bytes: int = 0
    month_used: int = 0
    duplicates: int = 0
    ids: dict[str, First] = field(default_factory=dict)
    rates: dict[str, int] = field(default_factory=dict)
    records: dict[str, tuple[bytes, int, int, int, dict[int, First]]] = field(default_factory=dict)

    def append(
        self, request: Append, names: Sequence[str], monthly_limit: int | None, bound: int, ms: int
    ) -> tuple[str, int, int, int, dict[int, First], int]:
        """Status, time, base, fresh, duplicates and rate used; `ms` is the time that the log gave the request."""
        used = self.rates.get(request.rate.key, 0) if request.rate else 0
        base = len(self.names)
        key = request.idempotency
        if key and not request.dry_run and key.key in self.records:
            request_hash, *first = self.records[key.key]
            if request_hash != key.request_hash:
                return "mismatch", ms, base, 0, {}, used
            return "replay", *first, used

        found: dict[int, First] = {}
        here: dict[str, First] = {}
        for index in range(len(names)):
            event_id = request.event_ids.get(index)
            if event_id is None:
                continue
            if event_id in self.ids or event_id in here:
                found[index] = self.ids.get(event_id) or here[event_id]
            else:
                here[event_id] = First(ms, base + index + 1 - len(found))
        fresh = len(names) - len(found)
        if fresh == 0:
            if not request.dry_run:
                self._remember(request, ms, base, 0, found)
            return "duplicate", ms, base, 0, found, used
        if request.rate and used >= request.rate.limit:
            return "rate", ms, base, fresh, {}, used
        if monthly_limit is not None and self.month_used + fresh > monthly_limit:
            return "quota", ms, base, fresh, {}, used
        if self.entry_bytes - self.settled_bytes >= bound:
            return "full", ms, base, fresh, {}, used
        if request.rate:
            used = self.rates[request.rate.key] = used + 1
        if request.dry_run:
            return "dry", ms, base, fresh, found, used
        first = 0
        for chunk in request.chunks:
            kept = [i for i in range(first, first + chunk.events) if i not in found]
            self.names += [names[i] for i in kept]
            self.entry_bytes += len(chunk.payload) if kept else 0
            first += chunk.events
        self.ids |= here
        self.month_used += fresh
        self._remember(request, ms, base, fresh, found)
        return "ok", ms, base, fresh, found, used

    def _remember(self, request: Append, ms: int, base: int, fresh: int, found: dict[int, First]) -> None:
        self.duplicates += len(found)
        if request.idempotency:
            self.records[request.idempotency.key] = (request.idempotency.request_hash, ms, base, fresh, found)


event_ids = st.none() | st.sampled_from([f"id-{n}" for n in range(6)])
drafts = st.fixed_dictionaries(
    {
        "chunks": st.lists(st.lists(event_ids, min_size=1, max_size=4), min_size=1, max_size=3),
        "key": st.none() | st.sampled_from(["k1", "k2"]),
        "body": st.sampled_from([b"1" * 32, b"2" * 32]),
        "rate": st.none() | st.tuples(st.sampled_from(["r1", "r2"]), st.integers(0, 4)),
        "dry_run": st.booleans() | st.just(False),
    }
)


class AppendMachine(RuleBasedStateMachine):
    redis_url: str
    epochs: Any

    @initialize()
    def start(self) -> None:
        self.client = redis_sync.Redis.from_url(self.redis_url)
        self.client.flushall()
        self.epochs.put(self.redis_url)
        self.runner = asyncio.Runner()
        self.pipeline = RedisPipeline(self.redis_url)
        self.bound = 1 << 40
        self.behind = timedelta()
        self.appender = Appender(
            self.pipeline, lambda _: ["jsonl"], 1 << 40, lambda: datetime.now(UTC) - self.behind, self.epochs
        )
        self.model = Model()
        self.numbers = 0

    def _request(self, draft: dict[str, Any]) -> tuple[Append, list[str]]:
        names, chunks, ids = [], [], {}
        for part in draft["chunks"]:
            events = []
            for event_id in part:
                self.numbers += 1
                if event_id is not None:
                    ids[len(names)] = event_id
                names.append(f"e{self.numbers}")
                events.append(event_pb2.Event(name=names[-1], event_id=event_id or ""))
            chunks += encode(event_pb2.DIALECT_GRPC, events)
        idempotency = Idempotency(draft["key"], draft["body"]) if draft["key"] else None
        rate = Rate(draft["rate"][0], draft["rate"][1], WINDOW_MS) if draft["rate"] else None
        return Append(chunks, ids, idempotency, rate, draft["dry_run"]), names

    @rule(
        drafts=st.lists(drafts, min_size=1, max_size=5),
        monthly_limit=st.none() | st.integers(0, 60),
        bound=st.just(1 << 40) | st.integers(1, 600),
        month_turns=st.booleans(),
    )
    def call(self, drafts: list[dict[str, Any]], monthly_limit: int | None, bound: int, month_turns: bool) -> None:
        # A service whose clock is a month behind Redis's has its call judged in the month after its own.
        self.behind = timedelta(days=datetime.now(UTC).day) if month_turns else timedelta()
        self.appender._bound_bytes = bound
        requests = [self._request(draft) for draft in drafts]
        project = LogProject(PROJECT, SHARD, monthly_limit)

        async def gathered() -> list[Verdict]:
            return await asyncio.gather(*(self.appender.append(project, request) for request, _ in requests))

        for (request, names), verdict in zip(requests, self.runner.run(gathered()), strict=True):
            expected = self.model.append(request, names, monthly_limit, bound, verdict.ms)
            said = (verdict.status, verdict.ms, verdict.base, verdict.fresh, dict(verdict.duplicates))
            assert (*said, verdict.rate_used) == expected
            assert verdict.month_used == self.model.month_used
            assert 0 < verdict.month_left_ms <= verdict.month_ms

    @rule(key=st.sampled_from(["r1", "r2"]))
    def window_ends(self, key: str) -> None:
        self.client.delete(KEYS.rate(key))
        self.model.rates.pop(key, None)

    @rule(key=st.sampled_from(["k1", "k2"]))
    def record_ends(self, key: str) -> None:
        for records in KEYS.records:
            self.client.hdel(records, key)
        self.model.records.pop(key, None)

    @rule()
    def sink_settles(self) -> None:
        self.client.hset(KEYS.cursors, "c:jsonl", f"0-0 {len(self.model.names)} {self.model.entry_bytes}")
        self.model.settled_bytes = self.model.entry_bytes

    @rule()
    def ids_are_forgotten_after_a_day(self) -> None:
        for key in KEYS.dedup:
            for event_id, value in self.client.hgetall(key).items():
                day_ago = int.from_bytes(value[:6], "big") - 24 * 3600 * 1000
                self.client.hset(key, event_id, day_ago.to_bytes(6, "big") + value[6:])
        self.model.ids.clear()

    @rule()
    def script_is_forgotten(self) -> None:
        self.client.script_flush()

    @invariant()
    def log_and_ledger_are_the_models(self) -> None:
        entries = [
            entry(PROJECT, entry_id, fields) for entry_id, fields in self.client.xrange(KEYS.log) if fields is not None
        ]
        assert [event.name for one in entries for event in one.events()] == self.model.names
        seq = size = 0
        for one in entries:
            seq, size = seq + len(one.events()), size + len(one.payload)
            assert (one.seq, one.log_bytes) == (seq, size)
        use = {name.decode(): int(value) for name, value in self.client.hgetall(KEYS.use).items()}
        assert use.get("seq", 0) == use.get(f"m{datetime.now(UTC):%Y%m}", 0) == len(self.model.names)
        assert self.model.month_used == len(self.model.names)
        ledger = {
            kind: sum(n for name, n in use.items() if name.endswith(kind)) for kind in (":accepted", ":duplicate")
        }
        assert ledger == {":accepted": len(self.model.names), ":duplicate": self.model.duplicates}
        for key in self.client.scan_iter("*:r:*"):
            assert 0 < self.client.pttl(key) <= WINDOW_MS

    def teardown(self) -> None:
        self.runner.run(self.pipeline.close())
        self.runner.close()
        self.client.close()


@pytest.mark.timeout(120)
def test_the_script_decides_as_the_model_does(redis_url, epochs):
    AppendMachine.redis_url, AppendMachine.epochs = redis_url, epochs
    run_state_machine_as_test(
        AppendMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=20,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
