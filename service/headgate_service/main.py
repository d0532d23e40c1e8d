"""The composition root of the service process: builds it, lists its gRPC services, runs it."""

import asyncio
import secrets
import signal
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import redis.asyncio as redis_asyncio
import structlog
from headgate.v1.account_service_pb2_grpc import add_AccountServiceServicer_to_server as add_accounts
from headgate.v1.admin_service_pb2_grpc import add_AdminServiceServicer_to_server as add_admin
from headgate.v1.delivery_service_pb2_grpc import add_DeliveryServiceServicer_to_server as add_delivery
from headgate.v1.deploy_service_pb2_grpc import add_DeployServiceServicer_to_server as add_deploys
from headgate.v1.invitation_service_pb2_grpc import add_InvitationServiceServicer_to_server as add_invitations
from headgate.v1.project_delivery_service_pb2_grpc import (
    add_ProjectDeliveryServiceServicer_to_server as add_project_delivery,
)
from headgate.v1.project_service_pb2_grpc import add_ProjectServiceServicer_to_server as add_projects
from headgate.v1.query_service_pb2_grpc import add_QueryServiceServicer_to_server as add_queries
from headgate.v1.receipt_service_pb2_grpc import add_ReceiptServiceServicer_to_server as add_receipts
from headgate.v1.saved_query_service_pb2_grpc import add_SavedQueryServiceServicer_to_server as add_saved_queries
from headgate.v1.store_service_pb2_grpc import add_StoreServiceServicer_to_server as add_store
from headgate.v1.user_service_pb2_grpc import add_UserServiceServicer_to_server as add_users
from prometheus_client import CollectorRegistry, start_http_server

from headgate_service.api.accounts import AccountServicer, UserServicer
from headgate_service.api.admin import AdminServicer
from headgate_service.api.call_metrics import CallMetrics
from headgate_service.api.callers import Callers, OperatorAccess
from headgate_service.api.calls import Calls
from headgate_service.api.deploys import DeployServicer
from headgate_service.api.ingest import IngestServicer, add_ingest
from headgate_service.api.invitations import InvitationServicer
from headgate_service.api.project_sinks import ProjectDeliveryServicer
from headgate_service.api.projects import ProjectServicer
from headgate_service.api.queries import QueryServicer
from headgate_service.api.receipts import ReceiptServicer, names_for_callers, names_for_operator
from headgate_service.api.saved_queries import SavedQueryServicer
from headgate_service.api.servers import GrpcService, Servers
from headgate_service.api.serving import CONTROL_DB, COUNTERS, REDIS, STORE, Health
from headgate_service.api.sinks import DeliveryServicer
from headgate_service.api.store import StoreServicer
from headgate_service.auth.accounts import Accounts
from headgate_service.auth.audit import UNKNOWN_ORIGIN, AuditTrail, CallOrigins
from headgate_service.auth.call_limits import CallLimits
from headgate_service.auth.cli_tokens import CliTokens
from headgate_service.auth.passwords import Attempts, Passwords
from headgate_service.auth.trail import Trail
from headgate_service.auth.users import Users
from headgate_service.config import Config
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.pruning import Pruning
from headgate_service.control_db.schema import migrate
from headgate_service.control_db.secret_box import PROJECT_SINK_HASHING, SecretBox, Secrets
from headgate_service.counters.keeper import Keeper
from headgate_service.deploys.deploys import Deploys
from headgate_service.deploys.preview import Previews
from headgate_service.ingest.core import IngestCore
from headgate_service.log.acknowledged import AcknowledgedMetrics
from headgate_service.log.client_memory import ClientMemory
from headgate_service.log.tail import CONNECTIONS, LogTail, Watchers
from headgate_service.owner_file import write_owner_file
from headgate_service.process import freeze_gc
from headgate_service.project_sinks.secrets import ProjectSecrets, encrypt_anew
from headgate_service.project_sinks.serving import ActiveProjectSinks
from headgate_service.projects.cleanup import Cleanup, StoredEvents
from headgate_service.projects.invitations import Invitations
from headgate_service.projects.keyring import Keyring
from headgate_service.projects.projects import FirstStart, Projects
from headgate_service.projects.store_watch import StoreWatch, watch_of
from headgate_service.query.at_once import AtOnce
from headgate_service.query.limited_store import MAX_MEMORY
from headgate_service.query.queries import Queries
from headgate_service.query.saved_queries import SavedQueries
from headgate_service.redis.durability import warn_of_shortfalls
from headgate_service.redis.readiness import RedisReadiness
from headgate_service.sink_control.dead_letters import DeadLetters
from headgate_service.sink_control.event_search import EventSearch
from headgate_service.sink_control.receipt_lookup import ReceiptLookup
from headgate_service.sink_control.replays import Replays
from headgate_service.sink_control.sinks import Sinks, SinkTests
from headgate_service.sink_control.store_replays import StoreReplays
from headgate_service.store.client import Store
from headgate_service.store.history import History
from headgate_service.store.retention import Erasure, Upkeep
from headgate_service.store.schema import TABLE

# In the notice of one key.
MAX_PROJECTS_NAMED = 10

_log = structlog.get_logger()


async def serve(config: Config) -> None:
    """Serves until SIGTERM or SIGINT, then finishes the calls under way and returns."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await serve_until(stopped, config)


async def serve_until(stopped: asyncio.Event, config: Config) -> None:
    """Serves until `stopped`. Raises ControlDbUnavailable if the control DB does not answer at the start."""
    database = ControlDb(config.database_url)
    await migrate(database)
    parts = await Parts.build(config, database, stopped)
    first = FirstStart(config.first_start_file, config.owner_email, parts.users, parts.passwords, secrets.token_bytes)
    await parts.projects.ensure_default(first.deliver)
    if not first.whole():
        _log.error(
            "the first start's file is empty or damaged: put its copy of a backup back, or delete it, and make what is "
            "missing with `headgate key create` and `headgate user password`",
            file=str(config.first_start_file),
        )
    for key in await parts.keyring.unbound():
        _log.warning(
            "an organisation key opens several projects: keep it to its own with `headgate key bind ID`, or allow it "
            "with `headgate key bind ID --all-projects`",
            key=key.id,
            opens=key.projects[:MAX_PROJECTS_NAMED],
        )
    await _run(parts)
    await parts.close()


@dataclass(frozen=True, slots=True)
class Parts:
    """What the gRPC services and the background tasks share. Without a store, `store` and `queries` are None, and
    `watch` is where no sink fills it."""

    config: Config
    stopped: asyncio.Event
    database: ControlDb
    core: IngestCore
    projects: Projects
    keyring: Keyring
    passwords: Passwords
    users: Users
    deploys: Deploys
    sinks: Sinks
    tail_redis: redis_asyncio.Redis
    store: Store | None
    queries: Queries | None
    registry: CollectorRegistry
    watch: StoreWatch | None

    @classmethod
    async def build(cls, config: Config, database: ControlDb, stopped: asyncio.Event) -> "Parts":
        """Raises ControlDbUnavailable."""
        core = await IngestCore.of(config, database)
        passwords = Passwords()
        store = Store(config.store_url) if config.store_url else None
        registry = CollectorRegistry()
        return cls(
            config=config,
            stopped=stopped,
            database=database,
            core=core,
            projects=Projects(database, random=secrets.token_bytes, now_ms=_now_ms, limits=config.tenants),
            keyring=Keyring(database, random=secrets.token_bytes, now_ms=_now_ms, limits=config.tenants),
            passwords=passwords,
            users=Users(database, passwords, core.sessions, random=secrets.token_bytes, now_ms=_now_ms),
            deploys=Deploys(
                database,
                _now_ms,
                config.project_sink_rules,
                await _project_secrets(database, config),
                config.tenants.deploys,
            ),
            sinks=Sinks(
                core.pipeline,
                config.sinks,
                project=core.directory.project,
                own=ActiveProjectSinks.under(config.project_sink_rules),
            ),
            tail_redis=redis_asyncio.Redis.from_url(config.redis_url, max_connections=CONNECTIONS),
            store=store,
            queries=_queries(config, store, core) if store else None,
            registry=registry,
            watch=watch_of(config.sinks, core.pipeline, database, store, core.directory.projects, registry)
            if store
            else None,
        )

    async def close(self) -> None:
        await self.tail_redis.aclose()
        if self.store:
            await self.store.close()
        self.passwords.close()
        await self.core.close()
        await self.database.close()


def _services(parts: Parts, calls: Calls) -> Sequence[GrpcService]:
    """Every gRPC service, once. The mode of the admin socket is the operator's only credential."""
    core, redis, directory = parts.core, parts.core.pipeline, parts.core.directory
    lookup = ReceiptLookup(redis, core.sinks_of, core.epochs.lost_ms)
    store, queries = parts.store, parts.queries
    saved = SavedQueries(parts.database, random=secrets.token_bytes, now_ms=_now_ms)
    previews = Previews(parts.deploys, redis)
    limits = CallLimits(parts.config.tenants, time.monotonic)
    trail = Trail(parts.database, _now_ms, parts.registry)
    attempts = Attempts(redis, parts.config.attempts)
    callers = Callers(core.access, CallOrigins(parts.config.gateway_token).of, limits, trail)
    operators = Callers(OperatorAccess(parts.projects), lambda context: UNKNOWN_ORIGIN)

    def deploys(let_in: Callers) -> DeployServicer:
        return DeployServicer(let_in, parts.deploys, directory, previews)

    def invitations(let_in: Callers) -> InvitationServicer:
        most = parts.config.tenants.invitations
        made = Invitations(parts.database, random=secrets.token_bytes, now_ms=_now_ms, most=most)
        return InvitationServicer(let_in, made)

    ingest = IngestServicer(core.ingest, parts.config.gateway_token, calls, parts.config.connections)
    users = UserServicer(parts.users, attempts, parts.config.first_start_file, _now_ms)
    forget = queries.forget if queries else lambda project_id: None
    events = StoreServicer(directory, Erasure(store) if store else None, forget, parts.watch)
    return [
        GrpcService("IngestService", add_ingest, ingest),
        GrpcService(
            "ReceiptService",
            add_receipts,
            ReceiptServicer(core.receipts, lookup, names_for_callers(directory, core.access)),
            ReceiptServicer(core.receipts, lookup, names_for_operator),
        ),
        GrpcService("ProjectService", add_projects, _projects(parts, callers), _projects(parts, operators)),
        GrpcService("InvitationService", add_invitations, invitations(callers), invitations(operators)),
        *_delivery_services(parts, callers, operators, lookup),
        GrpcService("AccountService", add_accounts, _accounts(parts, attempts, trail, limits)),
        GrpcService("QueryService", add_queries, QueryServicer(callers, queries)),
        GrpcService("SavedQueryService", add_saved_queries, SavedQueryServicer(callers, saved)),
        GrpcService("DeployService", add_deploys, deploys(callers), deploys(operators)),
        GrpcService("UserService", add_users, operator=users),
        GrpcService("StoreService", add_store, operator=events),
    ]


def _delivery_services(
    parts: Parts, callers: Callers, operators: Callers, lookup: ReceiptLookup
) -> Sequence[GrpcService]:
    """What people see of the log and of delivery, and do to it. All tails count against the same bounds."""
    core, redis, store = parts.core, parts.core.pipeline, parts.store
    tail, watchers = LogTail(parts.tail_redis), Watchers()
    dead_letters, tests = DeadLetters(redis), SinkTests(redis, lambda: str(uuid.uuid4()))

    def of_projects(let_in: Callers) -> ProjectDeliveryServicer:
        return ProjectDeliveryServicer(
            let_in,
            parts.sinks,
            dead_letters,
            tail,
            _now_ms,
            parts.stopped,
            watchers,
            core.refused,
            EventSearch(redis, core.receipts, lookup),
            tests,
            AuditTrail(parts.database).record,
        )

    of_operator = DeliveryServicer(
        core.directory,
        parts.sinks,
        dead_letters,
        Replays(redis, partial(secrets.token_hex, 4)),
        tests,
        _now_ms,
        StoreReplays(History(store), _now_ms) if store else None,
    )
    admin = AdminServicer(parts.projects, core.directory, tail, watchers)
    return [
        GrpcService("ProjectDeliveryService", add_project_delivery, of_projects(callers), of_projects(operators)),
        GrpcService("DeliveryService", add_delivery, operator=of_operator),
        GrpcService("AdminService", add_admin, operator=admin),
    ]


def _projects(parts: Parts, callers: Callers) -> ProjectServicer:
    return ProjectServicer(
        callers,
        parts.projects,
        parts.keyring,
        parts.core.directory,
        parts.sinks,
        parts.core.pipeline,
        parts.database,
        default_rate=parts.config.limits.keys,
        has_store=parts.store is not None,
        now_ms=_now_ms,
    )


def _accounts(parts: Parts, attempts: Attempts, trail: Trail, limits: CallLimits) -> AccountServicer:
    config, database, sessions = parts.config, parts.database, parts.core.sessions
    accounts = Accounts(database, parts.users, sessions, parts.passwords, attempts, trail, _now_ms)
    cli_tokens = CliTokens(database, sessions, config.sessions, random=secrets.token_bytes, now_ms=_now_ms)
    return AccountServicer(
        accounts, sessions, cli_tokens, CallOrigins(config.gateway_token), limits, config.first_start_file
    )


def _health(core: IngestCore, watch: StoreWatch | None, registry: CollectorRegistry) -> Health:
    readiness = RedisReadiness(core.pipeline, registry)

    async def counters_complete() -> bool:
        return not core.epochs.missing

    async def directory_healthy() -> bool:
        return core.directory.healthy

    async def store_whole() -> bool:
        return watch is None or watch.state.whole

    probes = {REDIS: readiness.ready, COUNTERS: counters_complete, CONTROL_DB: directory_healthy}
    if watch is not None:
        probes[STORE] = store_whole
    return Health(probes, frozenset({REDIS, COUNTERS}))


async def _run(parts: Parts) -> None:
    config, core, stopped = parts.config, parts.core, parts.stopped
    registry = parts.registry
    new_epoch = partial(secrets.token_hex, 8)
    keeper = Keeper(
        core.pipeline, parts.database, core.epochs, core.sinks_of, new_epoch, _now_ms, config.copy_seconds, registry
    )
    AcknowledgedMetrics(registry).show(core.acknowledged)
    client_memory = ClientMemory(core.pipeline, config.remembered_total_bytes, registry)
    health = _health(core, parts.watch, registry)
    calls = Calls(CallMetrics(registry), stopped)
    servers = Servers(config, _services(parts, calls), health, calls)
    store, deleted = parts.store, core.directory.deleted
    cleanup = Cleanup(core.pipeline, config.sinks, deleted, StoredEvents(store) if store else None)
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(core.run(), name="ingest-core"),
            tasks.create_task(health.run(), name="health"),
            tasks.create_task(warn_of_shortfalls(core.pipeline), name="redis-durability"),
            tasks.create_task(cleanup.run(), name="cleanup"),
            tasks.create_task(client_memory.run(), name="client-memory"),
            tasks.create_task(Pruning(parts.database, config.tenants, _now_ms).run(), name="pruning"),
        ]
        await core.prepare()
        await keeper.prepare()
        running.append(tasks.create_task(keeper.run(), name="counters"))
        if store:
            running.append(tasks.create_task(Upkeep(store, deleted).run(), name="store-upkeep"))
        if parts.watch:
            running.append(tasks.create_task(parts.watch.run(), name="store-watch"))
        await health.refresh()
        await servers.start()
        metrics_server = None
        if config.metrics_port is not None:
            metrics_server, _ = start_http_server(config.metrics_port, config.metrics_host, registry)
        if config.ready_file is not None:
            write_owner_file(config.ready_file, {"grpc": servers.address})
        _log.info("service listens", grpc=servers.address)
        freeze_gc()
        await stopped.wait()
        _log.info("service drains")
        health.drain()
        await servers.stop()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await keeper.finish()
        if metrics_server is not None:
            metrics_server.shutdown()


async def _project_secrets(database: ControlDb, config: Config) -> ProjectSecrets | None:
    """None if projects may not have sinks."""
    if not config.secrets_keys:
        return None
    box = SecretBox(config.secrets_keys, secrets.token_bytes)
    if renewed := await encrypt_anew(database, box):
        _log.info("secrets of project sinks are now encrypted with the first key", secrets=renewed)
    return ProjectSecrets(box, await Secrets(database, secrets.token_bytes).get(PROJECT_SINK_HASHING))


def _queries(config: Config, store: Store, core: IngestCore) -> Queries:
    embedded = (config.store_url or "").startswith("unix:")
    max_memory = None if embedded else MAX_MEMORY
    return Queries(
        store, TABLE, clock=time.monotonic, now_ms=_now_ms, at_once=AtOnce(core.pipeline), most_memory=max_memory
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
