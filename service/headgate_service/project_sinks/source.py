"""Reads from the control DB which sinks projects' active configs bring, for those who run them."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import structlog
from pydantic import ValidationError
from sqlalchemy import and_, or_, select

from headgate_service.config import ProjectSinkRules
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import ChangeCounter, DeployRow, OrganisationRow, ProjectRow
from headgate_service.control_db.secret_box import SecretBox, SecretUnreadable
from headgate_service.delivery.project_sink import ProjectSink, SinkChanges
from headgate_service.delivery.project_sinks import NOTHING
from headgate_service.errors import ControlDbUnavailable
from headgate_service.model.event_view import FieldsInvalid
from headgate_service.model.project_route import project_route
from headgate_service.model.route import RouteInvalid
from headgate_service.model.sink import SinkSpec
from headgate_service.policy.project_sink import ProjectSinkConfig
from headgate_service.project_sinks.rules import chosen_fields, running_settings
from headgate_service.project_sinks.secrets import RevealedSecrets
from headgate_service.project_sinks.serving import project_sink_name

_log = structlog.get_logger(__name__)


class ProjectSinkChanges:
    """Only reads. A project that was deleted, or whose organisation was, has no sinks of its own any more."""

    def __init__(self, database: ControlDb, box: SecretBox, rules: ProjectSinkRules) -> None:
        self._database = database
        self._box = box
        self._rules = rules

    async def load(self, since: int) -> SinkChanges:
        """What was written after the counter stood at `since`. Raises ControlDbUnavailable."""
        # Who only reads must not make an empty one.
        if (file := self._database.file) is not None and not await asyncio.to_thread(file.exists):
            raise ControlDbUnavailable(f"there is none at {file}: set `control.database_url` as the service has it")
        async with self._database.read() as session:
            until = await session.scalar(select(ChangeCounter.value)) or 0
            if until == since:
                return SinkChanges(since, until, {})
            if until < since:
                # An older copy of the database was put back.
                since = NOTHING
            changed = (
                select(ProjectRow, DeployRow.config)
                .join(OrganisationRow, OrganisationRow.id == ProjectRow.organisation_id)
                .outerjoin(
                    DeployRow,
                    and_(
                        DeployRow.project_id == ProjectRow.id,
                        DeployRow.version == ProjectRow.deploy_version,
                        ProjectRow.deleted_at.is_(None),
                        OrganisationRow.deleted_at.is_(None),
                    ),
                )
                .where(or_(ProjectRow.change > since, OrganisationRow.change > since))
            )
            found = [
                (row.id, row.slug, row.shard, row.deploy_version, _sinks(config))
                for row, config in await session.execute(changed)
            ]
            secrets = await RevealedSecrets.of(session, self._box, [place[0] for place in found if place[-1]])
        # Routes take a millisecond each to compile, in which no event should wait.
        return await asyncio.to_thread(self._changes, since, until, found, secrets)

    def _changes(
        self,
        since: int,
        until: int,
        found: Sequence[tuple[str, str, int, int, Sequence[Any]]],
        secrets: RevealedSecrets,
    ) -> SinkChanges:
        return SinkChanges(
            since,
            until,
            {
                project_id: [
                    self._deployed(sink, project_id, slug, shard, version, secrets)
                    for sink in _readable(project_id, version, sinks)
                ]
                for project_id, slug, shard, version, sinks in found
            },
        )

    def _deployed(
        self, sink: ProjectSinkConfig, project_id: str, slug: str, shard: int, version: int, secrets: RevealedSecrets
    ) -> ProjectSink:
        settings: dict[str, Any] = {}
        route = fields = None
        fault = "" if sink.use in self._rules.kinds else f"the operator lets projects use {sink.use!r} no more"
        try:
            if not fault:
                settings = running_settings(sink, self._rules, lambda secret: secrets.reveal(project_id, secret))
            route = None if sink.route is None else project_route(sink.route)
            fields = None if sink.fields is None else chosen_fields(sink.fields)
        except SecretUnreadable as error:
            fault = f"a secret of this sink cannot be read: {error}. Deploy it again"
        except (RouteInvalid, FieldsInvalid) as error:
            fault = f"this release cannot read it: {error}"
        config = SinkSpec(
            name=project_sink_name(slug, sink.name),
            use=sink.use,
            settings=settings,
            projects=frozenset({project_id}),
            when_full=sink.when_full,
            route=route,
            fields=fields,
            spec=orjson.dumps([sink.model_dump(mode="json"), self._rules.allow_private]),
        )
        return ProjectSink(config, project_id, shard, version, fault)


def _sinks(config: str | None) -> Sequence[Any]:
    found: Sequence[Any] = orjson.loads(config).get("sinks", ()) if config else ()
    return found


def _readable(project_id: str, version: int, sinks: Sequence[Any]) -> list[ProjectSinkConfig]:
    readable = []
    for place, one in enumerate(sinks):
        try:
            readable.append(ProjectSinkConfig.model_validate(one))
        except ValidationError as error:
            _log.error(
                "a deployed sink cannot be read by this release, and its events are not kept for it",
                project=project_id,
                version=version,
                place=place,
                error=str(error.errors(include_input=False, include_context=False, include_url=False)),
            )
    return readable
