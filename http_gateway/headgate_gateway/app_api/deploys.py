"""/api/deploy and /api/deploys: versions of a project's config, and which of them is active."""

from typing import Any

import orjson
from headgate.v1 import deploy_service_pb2 as wire
from headgate.v1.deploy_service_pb2_grpc import DeployServiceStub

from headgate_gateway.app_api.fields import MAX_INTEGER, Field, FieldInvalid, Kind
from headgate_gateway.app_api.operation import Asked, Operation, rfc3339

DEPLOYS = "/api/deploys"
DEPLOY_VERSION = f"{DEPLOYS}/{{version}}"

_PROJECT = Field("project", description="The project, by slug or id. Absent: that of the secret key in X-API-Key.")


def version_json(deploy: wire.DeployVersion) -> dict[str, Any]:
    """A version without its config."""
    return {
        "version": deploy.version,
        "active": deploy.active,
        "createdAt": rfc3339(deploy.create_time),
        "createdBy": deploy.created_by,
        "changed": list(deploy.changed),
    }


def preview_json(found: wire.PreviewDeployResponse) -> dict[str, Any]:
    """What differs between two configs over stored events."""
    return {
        "version": found.version,
        "changed": list(found.changed),
        "events": found.events,
        "complete": found.complete,
        "from": rfc3339(found.from_time) if found.HasField("from_time") else None,
        "outcomes": [
            {"event": one.event, "before": one.before, "after": one.after, "events": one.events}
            for one in found.outcomes
        ],
        "paths": [{"path": one.path, "events": one.events} for one in found.paths],
        "sinks": [
            {"sink": one.sink, "before": one.before, "after": one.after, "gained": one.gained, "lost": one.lost}
            for one in found.sinks
        ],
    }


def _deploy(asked: Asked) -> wire.DeployRequest:
    return wire.DeployRequest(
        config_json=orjson.dumps(asked.body),
        project=asked.query.get("project", ""),
        validate_only=bool(asked.query.get("validate")),
    )


def _with_config(found: wire.GetDeployResponse) -> dict[str, Any]:
    if not found.HasField("deploy"):
        return {"version": 0, "config": None}
    return {**version_json(found.deploy), "config": orjson.loads(found.config_json)}


def _version(asked: Asked) -> int:
    text = asked.path["version"]
    if text == "active":
        return 0
    if not (text.isascii() and text.isdecimal() and int(text) <= MAX_INTEGER):
        raise FieldInvalid("version", "must be the number of a version, or active")
    return int(text)


def _activated(asked: Asked) -> int:
    if asked.path["version"] == "active":
        raise FieldInvalid("version", "must be the number of a version, or 0 for none")
    return _version(asked)


DEPLOY = Operation(
    "POST",
    "/api/deploy",
    "Make a compiled config the active one of the secret key's project",
    lambda channel: DeployServiceStub(channel).Deploy,
    _deploy,
    lambda done: {"version": done.version, "changed": list(done.changed)},
    query=(
        _PROJECT,
        Field("validate", Kind.FLAG, description="Judge it and say what would change, and change nothing."),
    ),
    whole_body=True,
    key=True,
)
LIST_DEPLOYS = Operation(
    "GET",
    DEPLOYS,
    "The versions of a project's config, newest first",
    lambda channel: DeployServiceStub(channel).ListDeploys,
    lambda asked: wire.ListDeploysRequest(
        project=asked.query.get("project", ""),
        before=asked.query.get("before", 0),
        limit=asked.query.get("limit", 0),
    ),
    lambda found: {"deploys": [version_json(deploy) for deploy in found.deploys]},
    query=(
        _PROJECT,
        Field("before", Kind.INTEGER, description="Only versions below this one."),
        Field("limit", Kind.INTEGER, description="At most so many, default 20.", bounds=(1, 100)),
    ),
    key=True,
)
GET_DEPLOY = Operation(
    "GET",
    DEPLOY_VERSION,
    "One version with its config; `active`: the active one",
    lambda channel: DeployServiceStub(channel).GetDeploy,
    lambda asked: wire.GetDeployRequest(project=asked.query.get("project", ""), version=_version(asked)),
    _with_config,
    query=(_PROJECT,),
    key=True,
)
ACTIVATE_DEPLOY = Operation(
    "POST",
    f"{DEPLOY_VERSION}/activate",
    "Activate an earlier version; 0: no config, as before the first deploy",
    lambda channel: DeployServiceStub(channel).ActivateDeploy,
    lambda asked: wire.ActivateDeployRequest(project=asked.query.get("project", ""), version=_activated(asked)),
    lambda done: {"version": done.version, "changed": list(done.changed)},
    query=(_PROJECT,),
    key=True,
)
PREVIEW_DEPLOY = Operation(
    "POST",
    f"{DEPLOYS}/preview",
    "Run a compiled config over the latest stored events beside the active one, and say what differs",
    lambda channel: DeployServiceStub(channel).PreviewDeploy,
    lambda asked: wire.PreviewDeployRequest(
        config_json=orjson.dumps(asked.body),
        project=asked.query.get("project", ""),
        last=asked.query.get("last", 0),
    ),
    preview_json,
    query=(
        _PROJECT,
        Field("last", Kind.INTEGER, description="How many events, default 1,000.", bounds=(1, 10_000)),
    ),
    whole_body=True,
    key=True,
)

OPERATIONS = (DEPLOY, LIST_DEPLOYS, GET_DEPLOY, ACTIVATE_DEPLOY, PREVIEW_DEPLOY)
