"""The services of projects, put together for one way in."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headgate.v1 import project_delivery_service_pb2_grpc, project_service_pb2_grpc

from headgate_service.control_db.database import ControlDb
from headgate_service.counters.saved_counters import SavedCounters
from headgate_service.delivery_control.dead_letters import DeadLetters
from headgate_service.delivery_control.sinks import Sinks
from headgate_service.directory import Directory
from headgate_service.keyring import Keyring
from headgate_service.log.redis_pipeline import RedisPipeline
from headgate_service.project_control.audit_log import AuditLog
from headgate_service.project_control.callers import Callers
from headgate_service.project_control.catalogue import Catalogue
from headgate_service.project_control.members import Members
from headgate_service.project_control.project_delivery_servicer import ProjectDeliveryServicer
from headgate_service.project_control.project_servicer import ProjectServicer
from headgate_service.project_control.usage import Usages
from headgate_service.project_control.watchers import Watchers
from headgate_service.project_fields import RateLimit
from headgate_service.projects import Projects
from headgate_service.tail import Tail


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
