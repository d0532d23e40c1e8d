"""The composition root of the service process."""

import asyncio
import secrets
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import redis.asyncio as redis_asyncio
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from headgate.v1 import (
    account_service_pb2,
    account_service_pb2_grpc,
    deploy_service_pb2,
    ingest_service_pb2,
    ingest_service_pb2_grpc,
    project_delivery_service_pb2,
    project_delivery_service_pb2_grpc,
    project_service_pb2,
    project_service_pb2_grpc,
    query_service_pb2,
    query_service_pb2_grpc,
    receipt_service_pb2,
    receipt_service_pb2_grpc,
    store_service_pb2_grpc,
    user_service_pb2_grpc,
)
from headgate.v1 import admin_service_pb2_grpc as admin_grpc
from headgate.v1 import delivery_service_pb2_grpc as delivery_grpc
from headgate.v1 import deploy_service_pb2_grpc as deploy_grpc
from prometheus_client import CollectorRegistry, start_http_server
from redis.exceptions import ResponseError

from headgate_service.api.account_core import AccountCore
from headgate_service.api.admin import AdminServicer
from headgate_service.api.callers import Callers, OperatorAccess
from headgate_service.api.deploys import DeployServicer
from headgate_service.api.ingest import IngestServicer
from headgate_service.api.project_sinks import ProjectDeliveryServicer
from headgate_service.api.projects import ProjectServicer
from headgate_service.api.queries import QueryServicer
from headgate_service.api.receipts import ReceiptServicer, names_for_callers, names_for_operator
from headgate_service.api.serving import CONTROL_DB, COUNTERS, REDIS, Health, listen, listen_on_socket
from headgate_service.api.sinks import DeliveryServicer
from headgate_service.api.store import StoreServicer
from headgate_service.auth.audit import UNKNOWN_ORIGIN, CallOrigins
from headgate_service.auth.audit_log import AuditLog
from headgate_service.config import Config
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.schema import migrate
from headgate_service.control_db.secret_box import PROJECT_SINK_HASHING, SecretBox, Secrets
from headgate_service.counters.epochs import Epochs
from headgate_service.counters.keeper import Keeper
from headgate_service.counters.saved import SavedCounters
from headgate_service.deploys.deploys import Deploys
from headgate_service.deploys.preview import Previews
from headgate_service.directory.directory import Directory
from headgate_service.errors import RedisUnavailable
from headgate_service.ingest.core import IngestCore
from headgate_service.log.tail import LogTail, Tail, Watchers
from headgate_service.model.rate_limit import RateLimit
from headgate_service.process import freeze_gc, write_owner_file
from headgate_service.project_sinks.secrets import ProjectSecrets, encrypt_anew
from headgate_service.project_sinks.serving import ActiveProjectSinks
from headgate_service.projects.catalogue import Catalogue
from headgate_service.projects.cleanup import Cleanup, StoredEvents
from headgate_service.projects.keyring import Keyring
from headgate_service.projects.members import Members
from headgate_service.projects.projects import FirstStart, Projects
from headgate_service.projects.usage import Usages
from headgate_service.query.limited_store import MAX_MEMORY
from headgate_service.query.queries import Queries
from headgate_service.redis.durability import warn_of_shortfalls
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.sink_control.dead_letters import DeadLetters
from headgate_service.sink_control.receipt_lookup import ReceiptLookup
from headgate_service.sink_control.replays import Replays
from headgate_service.sink_control.sinks import Sinks, SinkTests
from headgate_service.store.client import Store
from headgate_service.store.retention import Erasure, Upkeep
from headgate_service.store.schema import TABLE


@dataclass(frozen=True, slots=True)
class ProjectServices:
    """What they stand on. `default_rate` is the operator's; `now_ms` is milliseconds since 1970.

    `has_store`: there is an analytics store. Whoever watches events is let go at `stopped`.
    """

    database: ControlDb
    redis: RedisPipeline
    projects: Projects
    keyring: Keyring
    directory: Directory
    sinks: Sinks
    tail: Tail
    default_rate: RateLimit | None
    has_store: bool
    now_ms: Callable[[], int]
    stopped: asyncio.Event

    def add_to(self, server: Any, callers: Callers) -> None:
        """Serves them on a gRPC server to those whom `callers` lets in."""
        project_service_pb2_grpc.add_ProjectServiceServicer_to_server(
            ProjectServicer(
                callers,
                self.projects,
                self.keyring,
                Members(self.database, self.now_ms),
                Catalogue(self.database),
                AuditLog(self.database),
                Usages(self.redis, SavedCounters(self.database)),
                self.directory,
                self.sinks,
                self.redis,
                self.default_rate,
                self.has_store,
                self.now_ms,
            ),
            server,
        )
        project_delivery_service_pb2_grpc.add_ProjectDeliveryServiceServicer_to_server(
            ProjectDeliveryServicer(
                callers, self.sinks, DeadLetters(self.redis), self.tail, self.now_ms, self.stopped, Watchers()
            ),
            server,
        )


# A gathered call carries whatever one HTTP request may hold; the 4 MiB of the other calls are checked by the servicer.
MAX_MESSAGE_BYTES = 32 * 1024 * 1024

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Two services on one port would each get a part of the requests, and one of them be forgotten.
    ("grpc.so_reuseport", 0),
]
_SERVICES = (
    ingest_service_pb2.DESCRIPTOR.services_by_name["IngestService"].full_name,
    receipt_service_pb2.DESCRIPTOR.services_by_name["ReceiptService"].full_name,
    project_service_pb2.DESCRIPTOR.services_by_name["ProjectService"].full_name,
    project_delivery_service_pb2.DESCRIPTOR.services_by_name["ProjectDeliveryService"].full_name,
    account_service_pb2.DESCRIPTOR.services_by_name["AccountService"].full_name,
    query_service_pb2.DESCRIPTOR.services_by_name["QueryService"].full_name,
    deploy_service_pb2.DESCRIPTOR.services_by_name["DeployService"].full_name,
    health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
    reflection.SERVICE_NAME,
)

_log = structlog.get_logger()


async def serve(config: Config) -> None:
    """Serves until SIGTERM or SIGINT, then finishes the calls under way and returns."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await serve_until(stopped, config)


async def serve_until(stopped: asyncio.Event, config: Config) -> None:
    """Serves until `stopped`. Raises ControlDbUnavailable where the control DB cannot be had at the start."""
    database = ControlDb(config.database_url)
    await migrate(database)
    projects = Projects(database, random=secrets.token_bytes, now_ms=_now_ms)
    keyring = Keyring(database, random=secrets.token_bytes, now_ms=_now_ms)
    core = await IngestCore.of(config, database)
    accounts = AccountCore.of(config, database, core.sessions, core.pipeline)
    first = FirstStart(
        config.first_start_file, config.owner_email, accounts.users, accounts.passwords, secrets.token_bytes
    )
    await projects.ensure_default(first.deliver)
    await _serve_core(core, accounts, database, projects, keyring, stopped, config)
    accounts.passwords.close()
    await core.close()
    await database.close()


async def _serve_core(
    core: IngestCore,
    accounts: AccountCore,
    database: ControlDb,
    projects: Projects,
    keyring: Keyring,
    stopped: asyncio.Event,
    config: Config,
) -> None:
    pipeline, directory, receipts = core.pipeline, core.directory, core.receipts
    tail_redis = redis_asyncio.Redis.from_url(config.redis_url)
    tail, sinks = (
        LogTail(tail_redis),
        Sinks(
            pipeline, config.sinks, project=directory.project, own=ActiveProjectSinks.under(config.project_sink_rules)
        ),
    )
    project_services = ProjectServices(
        *(database, pipeline, projects, keyring, directory, sinks, tail, config.limits.keys),
        *(config.store_url is not None, _now_ms, stopped),
    )
    registry = CollectorRegistry()
    keeper = Keeper(
        *(pipeline, database, core.epochs, core.sinks_of, partial(secrets.token_hex, 8), _now_ms),
        config.copy_seconds,
        registry,
    )
    lookup = ReceiptLookup(pipeline, core.sinks_of, core.epochs.lost_ms)
    probes = {
        REDIS: partial(_answers, pipeline),
        COUNTERS: partial(_complete, core.epochs),
        CONTROL_DB: partial(_healthy, directory),
    }
    health = Health(probes, frozenset({REDIS, COUNTERS}))

    public = grpc.aio.server(options=_OPTIONS)
    ingest_service_pb2_grpc.add_IngestServiceServicer_to_server(
        IngestServicer(core.ingest, config.gateway_token), public
    )
    receipt_service_pb2_grpc.add_ReceiptServiceServicer_to_server(
        ReceiptServicer(receipts, lookup, names_for_callers(directory, core.access)), public
    )
    account_service_pb2_grpc.add_AccountServiceServicer_to_server(accounts.servicer, public)
    callers = Callers(core.access, CallOrigins(config.gateway_token).of)
    project_services.add_to(public, callers)
    store = Store(config.store_url) if config.store_url else None
    stored = StoredEvents(store) if store else None
    queries = _queries(config, store) if store else None
    query_service_pb2_grpc.add_QueryServiceServicer_to_server(QueryServicer(callers, queries), public)
    deploys = Deploys(database, _now_ms, config.project_sink_rules, await _project_secrets(database, config))
    previews = Previews(deploys, pipeline)
    deploy_grpc.add_DeployServiceServicer_to_server(DeployServicer(callers, deploys, directory, previews), public)
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, public)
    reflection.enable_server_reflection(_SERVICES, public)
    port = listen(public, f"{config.grpc_host}:{config.grpc_port}", config.tls)
    if config.gateway_socket is not None:
        listen_on_socket(public, config.gateway_socket)

    operator = grpc.aio.server()
    admin_grpc.add_AdminServiceServicer_to_server(AdminServicer(projects, keyring, directory, tail), operator)
    user_service_pb2_grpc.add_UserServiceServicer_to_server(accounts.operators_servicer, operator)
    receipt_service_pb2_grpc.add_ReceiptServiceServicer_to_server(
        ReceiptServicer(receipts, lookup, names_for_operator), operator
    )
    delivery_grpc.add_DeliveryServiceServicer_to_server(
        DeliveryServicer(
            directory,
            sinks,
            DeadLetters(pipeline),
            Replays(pipeline, partial(secrets.token_hex, 4)),
            SinkTests(pipeline, lambda: str(uuid.uuid4())),
            _now_ms,
        ),
        operator,
    )
    operators = Callers(OperatorAccess(projects), lambda context: UNKNOWN_ORIGIN)
    project_services.add_to(operator, operators)
    deploy_grpc.add_DeployServiceServicer_to_server(DeployServicer(operators, deploys, directory, previews), operator)
    store_service_pb2_grpc.add_StoreServiceServicer_to_server(
        StoreServicer(
            directory, Erasure(store) if store else None, queries.forget if queries else lambda project_id: None
        ),
        operator,
    )
    listen_on_socket(operator, config.admin_socket)

    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(core.run(), name="ingest-core"),
            tasks.create_task(health.run(), name="health"),
            tasks.create_task(warn_of_shortfalls(pipeline), name="redis-durability"),
            tasks.create_task(Cleanup(pipeline, config.sinks, directory.deleted, stored).run(), name="removal"),
        ]
        await core.prepare()
        await keeper.prepare()
        running.append(tasks.create_task(keeper.run(), name="counters"))
        if store:
            running.append(tasks.create_task(Upkeep(store, directory.deleted).run(), name="store-upkeep"))
        await health.refresh()
        await public.start()
        await operator.start()
        config.admin_socket.chmod(0o600)
        metrics_server = None
        if config.metrics_port is not None:
            metrics_server, _ = start_http_server(config.metrics_port, config.metrics_host, registry)
        if config.ready_file is not None:
            write_owner_file(config.ready_file, {"grpc": f"{config.grpc_host}:{port}"})
        _log.info("service listens", grpc=f"{config.grpc_host}:{port}")
        freeze_gc()
        await stopped.wait()
        _log.info("service drains")
        await health.drain()
        await asyncio.gather(public.stop(config.drain_seconds), operator.stop(grace=0))
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await keeper.finish()
        if metrics_server is not None:
            metrics_server.shutdown()
    await tail_redis.aclose()
    if store:
        await store.close()


async def _project_secrets(database: ControlDb, config: Config) -> ProjectSecrets | None:
    """None where no project may have sinks of its own."""
    if not config.secrets_keys:
        return None
    box = SecretBox(config.secrets_keys, secrets.token_bytes)
    if renewed := await encrypt_anew(database, box):
        _log.info("secrets of projects' sinks are encrypted with the first key now", secrets=renewed)
    return ProjectSecrets(box, await Secrets(database, secrets.token_bytes).get(PROJECT_SINK_HASHING))


def _queries(config: Config, store: Store) -> Queries:
    embedded = (config.store_url or "").startswith("unix:")
    most_memory = None if embedded else MAX_MEMORY
    return Queries(store, TABLE, clock=time.monotonic, now_ms=_now_ms, most_memory=most_memory)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _answers(pipeline: RedisPipeline) -> bool:
    try:
        return bool(await pipeline.execute("PING") == b"PONG")
    except (RedisUnavailable, ResponseError):
        return False


async def _complete(epochs: Epochs) -> bool:
    return not epochs.missing


async def _healthy(directory: Directory) -> bool:
    return directory.healthy
