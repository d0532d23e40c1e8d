"""Projects as protobuf."""

from google.protobuf.duration_pb2 import Duration
from headgate.v1 import admin_service_pb2 as admin

from headgate_service.key_kind import WIRE_KINDS
from headgate_service.keys import FreshKey
from headgate_service.project_fields import RateLimit
from headgate_service.projects import Project


def wire_project(project: Project) -> admin.Project:
    """What everybody who may see a project sees of it."""
    return admin.Project(
        id=project.id,
        slug=project.slug,
        name=project.name,
        time_zone=project.time_zone,
        monthly_limit=project.monthly_limit,
        rate_limit=wire_rate_limit(project.rate_limit) if project.rate_limit else None,
    )


def wire_new_key(key: FreshKey) -> admin.NewKey:
    """A key that was just made, with its text."""
    return admin.NewKey(id=key.id, kind=WIRE_KINDS[key.kind], key=key.text, scopes=key.scopes)


def wire_rate_limit(limit: RateLimit) -> admin.RateLimit:
    """A rate limit."""
    return admin.RateLimit(requests=limit.requests, window=Duration(seconds=limit.window_ms // 1000))
