"""/api/projects: projects, and what the plan of each is."""

from typing import Any

from headgate.v1 import admin_service_pb2 as admin
from headgate.v1 import project_service_pb2 as wire
from headgate.v1.project_service_pb2_grpc import ProjectServiceStub

from headgate_gateway.app_api.fields import Field
from headgate_gateway.app_api.operation import KEY_KIND_NAMES, ROLE_NAMES, Operation, rate, rfc3339

PROJECTS = "/api/projects"
PROJECT = f"{PROJECTS}/{{project}}"
_NAME = "The project's name, for people: 1 to 100 characters."
_NAME_RULES = {"minLength": 1, "maxLength": 100}
_SLUG_RULES = {"maxLength": 63, "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"}
_ZONE = "Where its days begin: a name of the IANA time zone database."


def project_json(project: admin.Project) -> dict[str, Any]:
    """A project. `role` is the caller's, null for the operator; limits are null where there is none of its own."""
    return {
        "id": project.id,
        "slug": project.slug,
        "name": project.name,
        "organisation": project.organisation,
        "timezone": project.time_zone,
        "createdAt": rfc3339(project.create_time),
        "monthlyLimit": project.monthly_limit if project.HasField("monthly_limit") else None,
        "rateLimit": rate(project.rate_limit) if project.HasField("rate_limit") else None,
        "role": ROLE_NAMES.get(project.role),
    }


def deletion_json(report: wire.DeleteProjectResponse) -> dict[str, Any]:
    """What ended with a project."""
    return {
        "project": {"id": report.project.id, "slug": report.project.slug},
        "removed": {"keys": report.keys, "members": report.members, "deploys": report.deploys},
        "log": {"events": report.log_events, "bytes": report.log_bytes, "deadLetters": report.dead_letters},
        "sinks": [{"name": sink.name, "pending": sink.pending} for sink in report.sinks],
        "storedEventsDeleted": report.stored_events_deleted,
    }


CREATE_PROJECT = Operation(
    "POST",
    PROJECTS,
    "Make a project; its first keys are shown this once",
    lambda channel: ProjectServiceStub(channel).CreateProject,
    lambda asked: wire.ProjectServiceCreateProjectRequest(name=asked.body["name"], slug=asked.body.get("slug", "")),
    lambda made: {
        "project": project_json(made.project),
        "keys": {KEY_KIND_NAMES[key.kind]: key.key for key in made.keys},
    },
    body=(
        Field("name", required=True, description=_NAME, rules=_NAME_RULES),
        Field("slug", description="Its name in addresses: 1 to 63 of a-z, 0-9 and inner hyphens.", rules=_SLUG_RULES),
    ),
    status=201,
)
LIST_PROJECTS = Operation(
    "GET",
    PROJECTS,
    "The caller's projects",
    lambda channel: ProjectServiceStub(channel).ListProjects,
    lambda asked: wire.ListProjectsRequest(),
    lambda found: {"projects": [project_json(project) for project in found.projects]},
)
GET_PROJECT = Operation(
    "GET",
    PROJECT,
    "One project",
    lambda channel: ProjectServiceStub(channel).GetProject,
    lambda asked: wire.GetProjectRequest(project=asked.path["project"]),
    lambda found: {"project": project_json(found.project)},
)
UPDATE_PROJECT = Operation(
    "PATCH",
    PROJECT,
    "Change what is given of a project",
    lambda channel: ProjectServiceStub(channel).UpdateProject,
    lambda asked: wire.UpdateProjectRequest(
        project=asked.path["project"], name=asked.body.get("name"), time_zone=asked.body.get("timezone")
    ),
    lambda changed: {"project": project_json(changed.project)},
    body=(Field("name", description=_NAME, rules=_NAME_RULES), Field("timezone", description=_ZONE)),
)
DELETE_PROJECT = Operation(
    "DELETE",
    PROJECT,
    "Delete a project, and say what ended with it",
    lambda channel: ProjectServiceStub(channel).DeleteProject,
    lambda asked: wire.DeleteProjectRequest(project=asked.path["project"]),
    deletion_json,
    # Each entry that waits for a sink is counted.
    seconds=60.0,
)

OPERATIONS = (CREATE_PROJECT, LIST_PROJECTS, GET_PROJECT, UPDATE_PROJECT, DELETE_PROJECT)
