"""/api/projects/{project}/keys: a project's keys."""

from dataclasses import replace
from typing import Any

from headgate.v1 import admin_service_pb2 as admin
from headgate.v1 import project_service_pb2 as wire
from headgate.v1.project_service_pb2_grpc import ProjectServiceStub

from headgate_gateway.app_api.fields import Field, FieldInvalid, Kind
from headgate_gateway.app_api.operation import KEY_KIND_NAMES, KEY_KINDS, Asked, Operation, rfc3339
from headgate_gateway.app_api.projects import PROJECT

KEYS = f"{PROJECT}/keys"
KEY = f"{KEYS}/{{key}}"
_ALL_PROJECTS = "Whether an organisation key opens every project of the organisation, also later ones."


def key_json(key: wire.Key) -> dict[str, Any]:
    """A key without the key."""
    return {
        "id": key.id,
        "kind": KEY_KIND_NAMES[key.kind],
        "scopes": list(key.scopes),
        "allProjects": key.all_projects,
        "projects": list(key.projects),
        "createdAt": rfc3339(key.create_time),
        "revokedAt": rfc3339(key.revoke_time) if key.HasField("revoke_time") else None,
    }


def new_key_json(key: admin.NewKey) -> dict[str, Any]:
    """A key that was just made."""
    return {
        "id": key.id,
        "kind": KEY_KIND_NAMES[key.kind],
        "scopes": list(key.scopes),
        "allProjects": key.all_projects,
        "projects": list(key.projects),
        "key": key.key,
    }


def _create(asked: Asked) -> wire.CreateKeyRequest:
    kind = KEY_KINDS.get(asked.body["kind"])
    if kind is None:
        raise FieldInvalid("kind", f"must be one of {', '.join(KEY_KINDS)}")
    return wire.CreateKeyRequest(
        project=asked.path["project"],
        kind=kind,
        scopes=asked.body.get("scopes", []),
        all_projects=asked.body.get("allProjects", False),
    )


LIST_KEYS = Operation(
    "GET",
    KEYS,
    "A project's keys, ended ones too",
    lambda channel: ProjectServiceStub(channel).ListKeys,
    lambda asked: wire.ListKeysRequest(project=asked.path["project"]),
    lambda found: {"keys": [key_json(key) for key in found.keys]},
)
CREATE_KEY = Operation(
    "POST",
    KEYS,
    "Make a key, which is shown this once",
    lambda channel: ProjectServiceStub(channel).CreateKey,
    _create,
    lambda made: new_key_json(made.key),
    body=(
        Field("kind", required=True, description="What it opens.", rules={"enum": list(KEY_KINDS)}),
        Field("scopes", Kind.TEXTS, description="What an organisation key may do. Absent: events:write."),
        Field("allProjects", Kind.FLAG, description=_ALL_PROJECTS),
    ),
    status=201,
)
ROTATE_KEY = Operation(
    "POST",
    f"{KEY}/rotate",
    "Create a key of the same kind and scopes as another, which works until it is revoked",
    lambda channel: ProjectServiceStub(channel).RotateKey,
    lambda asked: wire.RotateKeyRequest(project=asked.path["project"], id=asked.path["key"]),
    lambda made: new_key_json(made.key),
    status=201,
)
REVOKE_KEY = Operation(
    "DELETE",
    KEY,
    "End a key: within 5 seconds it opens nothing",
    lambda channel: ProjectServiceStub(channel).RevokeKey,
    lambda asked: wire.RevokeKeyRequest(project=asked.path["project"], id=asked.path["key"]),
    lambda ended: {"revoked": True},
)
BIND_ANY_KEY = Operation(
    "PATCH",
    "/api/keys/{key}",
    "Decide whether an organisation key opens its own project only, or every project of its organisation",
    lambda channel: ProjectServiceStub(channel).BindKey,
    lambda asked: wire.BindKeyRequest(id=asked.path["key"], all_projects=asked.body["allProjects"]),
    lambda bound: {"key": key_json(bound.key)},
    body=(Field("allProjects", Kind.FLAG, required=True, description=_ALL_PROJECTS),),
)
# A key's id says which project it is of.
ROTATE_ANY_KEY = replace(
    ROTATE_KEY,
    path="/api/keys/{key}/rotate",
    request=lambda asked: wire.RotateKeyRequest(id=asked.path["key"]),
)
REVOKE_ANY_KEY = replace(
    REVOKE_KEY,
    path="/api/keys/{key}",
    request=lambda asked: wire.RevokeKeyRequest(id=asked.path["key"]),
)

OPERATIONS = (LIST_KEYS, CREATE_KEY, ROTATE_KEY, REVOKE_KEY, ROTATE_ANY_KEY, BIND_ANY_KEY, REVOKE_ANY_KEY)
