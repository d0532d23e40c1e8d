"""DeployService over gRPC."""

from typing import Any

import orjson
from headgate.v1 import deploy_service_pb2 as wire
from headgate.v1.deploy_service_pb2_grpc import DeployServiceServicer

from headgate_service.api.callers import Callers
from headgate_service.api.rpc_status import answered
from headgate_service.auth.audit import Author
from headgate_service.auth.metadata import metadata_value
from headgate_service.deploys.deploys import MAX_LISTED, Deploys, DeployVersion, Record
from headgate_service.deploys.preview import EVENTS, MAX_EVENTS, Preview, Previews
from headgate_service.directory.directory import Directory
from headgate_service.directory.project import Project
from headgate_service.errors import (
    CredentialInvalid,
    InvalidArgument,
    PolicyInvalid,
    ProjectUnknown,
    SecretKeyForbidden,
    SecretKeyInvalid,
    SecretKeyMissing,
)
from headgate_service.failure import Fault
from headgate_service.log.reader import timestamp
from headgate_service.model.key import KeyKind
from headgate_service.model.principal import PrincipalKind, Role
from headgate_service.policy.compiled_config import MAX_BYTES
from headgate_service.policy.headgate_yaml import compiled_schema, yaml_schema

KEY = "headgate-key"
DEFAULT_LISTED = 20
MAX_PATHS = 100

_SCHEMAS = {wire.CONFIG_SCHEMA_HEADGATE_YAML: yaml_schema, wire.CONFIG_SCHEMA_COMPILED: compiled_schema}


class DeployServicer(DeployServiceServicer):
    """Translates between the wire and Deploys, once the caller is let in."""

    def __init__(self, callers: Callers, deploys: Deploys, directory: Directory, previews: Previews) -> None:
        self._previews = previews
        self._callers = callers
        self._deploys = deploys
        self._directory = directory

    @answered
    async def Deploy(self, request: wire.DeployRequest, context: Any) -> wire.DeployResponse:
        author = await self._callers.author(context)
        if author.principal.kind is PrincipalKind.OPERATOR:
            project = await self._project(author, request.project, context, Role.ADMIN)
        else:
            project = await self._by_key_and_person(author, request.project, context)
        config = _read(request.config_json)
        if request.validate_only:
            done = await self._deploys.validate(project, config)
        else:
            by = author.principal.label
            done = await self._deploys.deploy(project, config, by, _record(author, project))
        return wire.DeployResponse(version=done.version, changed=done.changed, project_id=project.id)

    @answered
    async def ListDeploys(self, request: wire.ListDeploysRequest, context: Any) -> wire.ListDeploysResponse:
        author = await self._callers.author(context)
        project = await self._project(author, request.project, context, Role.VIEWER)
        if not 0 <= request.limit <= MAX_LISTED:
            raise InvalidArgument("limit", f"must be 1 to {MAX_LISTED}")
        found = await self._deploys.list(project, request.before, request.limit or DEFAULT_LISTED)
        return wire.ListDeploysResponse(deploys=map(_version, found))

    @answered
    async def GetDeploy(self, request: wire.GetDeployRequest, context: Any) -> wire.GetDeployResponse:
        author = await self._callers.author(context)
        project = await self._project(author, request.project, context, Role.VIEWER)
        found = await self._deploys.get(project, request.version)
        if found is None:
            return wire.GetDeployResponse()
        return wire.GetDeployResponse(deploy=_version(found), config_json=orjson.dumps(found.config))

    @answered
    async def ActivateDeploy(self, request: wire.ActivateDeployRequest, context: Any) -> wire.ActivateDeployResponse:
        author = await self._callers.author(context)
        project = await self._project(author, request.project, context, Role.ADMIN)
        done = await self._deploys.activate(project, request.version, _record(author, project))
        return wire.ActivateDeployResponse(version=done.version, changed=done.changed)

    @answered
    async def PreviewDeploy(self, request: wire.PreviewDeployRequest, context: Any) -> wire.PreviewDeployResponse:
        author = await self._callers.author(context)
        project = await self._project(author, request.project, context, Role.ADMIN)
        if not 0 <= request.last <= MAX_EVENTS:
            raise InvalidArgument("last", f"must be 1 to {MAX_EVENTS}, or absent")
        return _preview(await self._previews.run(project, _read(request.config_json), request.last or EVENTS))

    @answered
    async def GetConfigSchema(self, request: wire.GetConfigSchemaRequest, context: Any) -> wire.GetConfigSchemaResponse:
        made = _SCHEMAS.get(request.schema)
        if made is None:
            raise InvalidArgument("schema", "must be one of the schemas that are published")
        return wire.GetConfigSchemaResponse(schema_json=made())

    async def _project(self, author: Author, named: str, context: Any, least: Role) -> Project:
        """The project that a request names, else the secret key's."""
        keyed = await self._key_project(context) if metadata_value(context, KEY) else ""
        if not (named or keyed):
            raise InvalidArgument("project", "is required where no secret key says which project is meant")
        project = await self._callers.admit(author, named or keyed, least, "")
        if keyed not in ("", project.id):
            raise SecretKeyForbidden("the secret key belongs to another project than the request names")
        return project

    async def _by_key_and_person(self, author: Author, named: str, context: Any) -> Project:
        keyed = await self._key_project(context)
        try:
            project = await self._callers.admit(author, keyed, Role.ADMIN, "")
        except ProjectUnknown:
            raise SecretKeyForbidden("you are not a member of the project that the secret key belongs to") from None
        if named not in ("", project.id, project.slug):
            raise SecretKeyForbidden("the secret key belongs to another project than the request names")
        return project

    async def _key_project(self, context: Any) -> str:
        key = metadata_value(context, KEY).strip()
        if not key:
            raise SecretKeyMissing("a deploy takes the project's secret key: send it as X-API-Key, beside who you are")
        try:
            credential = await self._directory.find(key)
        except CredentialInvalid:
            raise SecretKeyInvalid("the secret key is malformed, unknown or revoked") from None
        if credential.kind is not KeyKind.SECRET:
            raise SecretKeyForbidden(f"this takes a secret key, and the key is a {credential.kind} one")
        return credential.project_id


def _record(author: Author, project: Project) -> Record:
    return lambda session, action, target: author.record(session, action, target, project.id)


def _read(config_json: bytes) -> Any:
    # With defaults written out a config grows, but not to twice of what is allowed.
    if len(config_json) > 2 * MAX_BYTES:
        raise PolicyInvalid([Fault("", f"is over {MAX_BYTES} bytes of JSON")])
    try:
        return orjson.loads(config_json)
    except orjson.JSONDecodeError as error:
        raise PolicyInvalid([Fault("", f"is not JSON: {error}")]) from None


def _preview(made: Preview) -> wire.PreviewDeployResponse:
    found = made.comparison
    return wire.PreviewDeployResponse(
        version=made.version,
        changed=made.changed,
        events=found.events,
        complete=made.complete,
        from_time=timestamp(made.from_ms) if made.from_ms else None,
        outcomes=[
            wire.OutcomeDifference(event=event, before=before, after=after, events=count)
            for (event, before, after), count in found.outcomes.most_common()
        ],
        paths=[wire.PathDifference(path=path, events=count) for path, count in found.paths.most_common(MAX_PATHS)],
        sinks=[
            wire.SinkDifference(sink=name, before=one.before, after=one.after, gained=one.gained, lost=one.lost)
            for name, one in found.sinks.items()
        ],
    )


def _version(deploy: DeployVersion) -> wire.DeployVersion:
    return wire.DeployVersion(
        version=deploy.version,
        create_time=timestamp(deploy.created_ms),
        created_by=deploy.created_by,
        active=deploy.active,
        changed=deploy.changed,
    )
