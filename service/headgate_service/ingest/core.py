"""All that it takes to judge a request and append it: what a service serves, and what a gateway may hold itself.

Any number of them, in any processes, share one Redis and one control DB.
"""

import asyncio
import contextlib
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from headgate_service.auth.access import Access
from headgate_service.auth.jwts import Jwts, fetch
from headgate_service.auth.sessions import Sessions
from headgate_service.config import Config
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.secret_box import PII_HASHING, RECEIPT_SIGNING, Secrets
from headgate_service.counters.epochs import Epochs
from headgate_service.counters.saved import SavedCounters
from headgate_service.directory.active_policies import ActivePolicies
from headgate_service.directory.directory import Directory
from headgate_service.directory.snapshot import ControlChanges
from headgate_service.errors import DirectoryUnavailable
from headgate_service.ingest.authentication import Authentication
from headgate_service.ingest.pipeline import Ingest
from headgate_service.ingest.refusal_ledger import RefusalLedger
from headgate_service.ingest.refused_requests import RefusedRequests
from headgate_service.ingest.sessions import SessionCache
from headgate_service.log.acknowledged import Acknowledged
from headgate_service.log.append import Appender
from headgate_service.model.receipt import ReceiptMaker
from headgate_service.project_sinks.serving import ActiveProjectSinks, SinksOf
from headgate_service.redis.pipeline import RedisPipeline


@dataclass(frozen=True, slots=True)
class IngestCore:
    """Its parts, of which `run` keeps those fresh that need it."""

    pipeline: RedisPipeline
    directory: Directory
    receipts: ReceiptMaker
    sinks_of: SinksOf
    ingest: Ingest
    refusals: RefusalLedger
    refused: RefusedRequests
    sessions: Sessions
    access: Access
    epochs: Epochs
    acknowledged: Acknowledged

    @classmethod
    async def of(cls, config: Config, database: ControlDb) -> "IngestCore":
        """A core over a control DB whose schema is up to date. Raises ControlDbUnavailable."""
        made_once = Secrets(database, secrets.token_bytes)
        receipts = ReceiptMaker(await made_once.get(RECEIPT_SIGNING))
        policies = ActivePolicies(database, await made_once.get(PII_HASHING))
        directory = Directory(
            ControlChanges(database, policies), clock=time.monotonic, trust_seconds=config.trust_seconds
        )
        pipeline = RedisPipeline(config.redis_url)
        epochs = Epochs(pipeline, SavedCounters(database))
        refusals = RefusalLedger(pipeline, _now, epochs)
        refused = RefusedRequests(pipeline)
        enabled = tuple(rule for rule in config.sinks if rule.enabled)
        own = ActiveProjectSinks.under(config.project_sink_rules)
        refusing = SinksOf(directory, enabled, own, refusing=True)
        sinks_of = SinksOf(directory, enabled, own)
        sessions = Sessions(database, config.sessions, random=secrets.token_bytes, now_ms=_now_ms)
        access = Access(database, sessions, directory, Jwts(config.jwt, fetch, now=time.time, clock=time.monotonic))
        appender = Appender(
            *(pipeline, refusing, config.log_bound_bytes, _now, epochs),
            remembered_bytes=config.remembered_bytes,
            wait_replicas=config.wait_replicas,
        )
        acknowledged = appender.acknowledged
        acknowledged.exists = lambda project_id: directory.project(project_id) is not None
        pipeline.greet(acknowledged.compare)
        ingest = Ingest(
            Authentication(directory, config.public_route, SessionCache(access, time.monotonic)),
            appender,
            receipts,
            refusals,
            config.limits,
            sinks_of.reached,
            refused,
        )
        stored = (refusals, refused, sessions, access, epochs, acknowledged)
        return cls(pipeline, directory, receipts, sinks_of, ingest, *stored)

    async def prepare(self) -> None:
        """Learns what the first callers ask for; where that fails they hear that nothing is known yet."""
        with contextlib.suppress(DirectoryUnavailable):
            await self.directory.refresh()
        await self.epochs.look()

    async def run(self) -> None:
        """Keeps it fresh until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.directory.run(), name="directory")
            tasks.create_task(self.refusals.run(), name="refusal-ledger")
            tasks.create_task(self.refused.run(), name="refused-requests")
            tasks.create_task(self.epochs.run(), name="epochs")

    async def close(self) -> None:
        """Ends its connections; `run` has ended."""
        await self.pipeline.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _now() -> datetime:
    return datetime.now(UTC)
