"""Deploys: the versions of projects' configs, and which of them is active."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from headgate_service.config import ProjectSinkRules
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import DeployRow, ProjectRow
from headgate_service.directory.project import Project, living_project
from headgate_service.errors import DeployUnknown, PolicyInvalid
from headgate_service.failure import Fault
from headgate_service.policy.compiled_config import NO_CONFIG, CompiledConfig
from headgate_service.policy.config_faults import pointer
from headgate_service.policy.policy import Policy
from headgate_service.project_sinks.secrets import ProjectSecrets

MAX_CHANGES = 1_000
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """A setting that differs. What was not there, or is there no more, is None."""

    path: str
    before: Any
    after: Any


def config_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[ConfigChange]:
    """The settings that differ, each as high up as it is new or gone; at most 1,000. Lists differ as a whole."""
    found = (change for change in _changes(before, after, ()))
    return [change for change, _ in zip(found, range(MAX_CHANGES), strict=False)]


def _changes(before: Any, after: Any, place: tuple[str, ...]) -> Iterator[ConfigChange]:
    # A JSON Schema is one setting: which of its keywords changed tells nobody what it now asks for.
    if isinstance(before, Mapping) and isinstance(after, Mapping) and place[-1:] != ("schema",):
        for name in sorted({*before, *after}):
            yield from _changes(before.get(name, _ABSENT), after.get(name, _ABSENT), (*place, name))
    elif before is not after and (before != after or type(before) is not type(after)):
        yield ConfigChange(pointer(*place), *(None if value is _ABSENT else value for value in (before, after)))


MAX_LISTED = 100

Record = Callable[[AsyncSession, str, str], None]
"""Writes an action and its target into the audit log, within the transaction of the change."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """What is active after a deploy or an activation, and the settings in which it differs from what was before."""

    version: int
    changed: Sequence[str]


@dataclass(frozen=True, slots=True)
class DeployVersion:
    """One version. `config` is the compiled one, with every default in it."""

    version: int
    created_ms: int
    created_by: str
    active: bool
    changed: Sequence[str]
    config: Mapping[str, Any]


class Deploys:
    """Every call may raise ControlDbUnavailable, and ProjectUnknown where the project has just ended."""

    def __init__(
        self,
        database: ControlDb,
        now_ms: Callable[[], int],
        rules: ProjectSinkRules | None = None,
        secrets: ProjectSecrets | None = None,
        kept: int = 200,
    ) -> None:
        """Without `rules` and `secrets` no config may bring sinks. `kept` versions of a project are kept."""
        self._database = database
        self._now_ms = now_ms
        self._rules = rules or ProjectSinkRules(frozenset())
        self._secrets = secrets
        self._kept = kept

    async def validate(self, project: Project, config: Any) -> Deployed:
        """What a deploy would change: the version that is active, and the settings. Raises PolicyInvalid."""
        read = await asyncio.to_thread(_valid, config, project, self._rules)
        async with self._database.read() as session:
            row = await living_project(session, project.id)
            canonical = await self._canonical(session, read, row)
            return Deployed(row.deploy_version, _changed(await _active(session, row), canonical))

    async def compared(self, project: Project, config: Any) -> tuple[Deployed, Policy, Policy]:
        """What a deploy would change, with the active policy and the one that it would make active, which hash alike.
        Raises PolicyInvalid."""
        read = await asyncio.to_thread(_valid, config, project, self._rules)
        async with self._database.read() as session:
            row = await living_project(session, project.id)
            canonical = await self._canonical(session, read, row)
            active = await _active(session, row)
            done = Deployed(row.deploy_version, _changed(active, canonical))

        def parsed(one: Mapping[str, Any]) -> Policy:
            return Policy.parse(dict(one), project_id=project.id, secret=b"")

        return done, await asyncio.to_thread(parsed, active), await asyncio.to_thread(parsed, canonical)

    async def deploy(self, project: Project, config: Any, by: str, record: Record) -> Deployed:
        """Makes a config the active one, as a new version unless it is active already. Raises PolicyInvalid."""
        # Schemas take milliseconds to compile, in which no event should wait.
        read = await asyncio.to_thread(_valid, config, project, self._rules)
        async with self._database.change() as (session, change):
            row = await living_project(session, project.id)
            canonical = await self._canonical(session, read, row)
            if self._secrets is not None and await self._secrets.keep(session, row.id, read.sinks, self._now_ms()):
                # Who runs the sinks is to look at their secrets again, be the version new or not.
                row.change = change
            changed = _changed(await _active(session, row), canonical)
            if row.deploy_version and not changed:
                return Deployed(row.deploy_version, ())
            newest = select(func.max(DeployRow.version)).where(DeployRow.project_id == row.id)
            version = (await session.scalar(newest) or 0) + 1
            session.add(
                DeployRow(
                    project_id=row.id,
                    version=version,
                    config=orjson.dumps(canonical).decode(),
                    changed=list(changed),
                    created_by=by,
                    created_at=self._now_ms(),
                )
            )
            row.deploy_version, row.change = version, change
            record(session, "deploy.create", str(version))
            await self._prune(session, row.id, version)
            return Deployed(version, changed)

    async def activate(self, project: Project, version: int, record: Record) -> Deployed:
        """Makes a version the active one again; 0: none. Raises DeployUnknown."""
        async with self._database.change() as (session, change):
            row = await living_project(session, project.id)
            config = NO_CONFIG if version == 0 else _config(await _deploy(session, row, version))
            changed = _changed(await _active(session, row), config)
            if row.deploy_version != version:
                row.deploy_version, row.change = version, change
                record(session, "deploy.activate", str(version))
            return Deployed(version, changed)

    async def _prune(self, session: AsyncSession, project_id: str, newest: int) -> None:
        """Forgets the oldest versions, and the secrets that none of the others names. The newest is the active one."""
        old = (DeployRow.project_id == project_id) & (DeployRow.version <= newest - self._kept)
        deleted = await session.scalars(delete(DeployRow).where(old).returning(DeployRow.version))
        if deleted.first() is not None and self._secrets is not None:
            await session.flush()
            configs = select(DeployRow.config).where(DeployRow.project_id == project_id)
            await self._secrets.forget_others(session, project_id, (await session.scalars(configs)).all())

    async def _canonical(self, session: AsyncSession, read: CompiledConfig, row: ProjectRow) -> dict[str, Any]:
        """The config with every default in it, and its secrets by their hashes. Raises PolicyInvalid."""
        if read.sinks and self._secrets is not None:
            sinks = await self._secrets.named(session, row.id, read.sinks)
            read = read.model_copy(update={"sinks": tuple(sinks)})
        return read.canonical()

    async def list(self, project: Project, before: int, limit: int) -> Sequence[DeployVersion]:
        """Versions below `before` (0: all), newest first, at most `limit`."""
        async with self._database.read() as session:
            row = await living_project(session, project.id)
            wanted = select(DeployRow).where(DeployRow.project_id == row.id)
            if before:
                wanted = wanted.where(DeployRow.version < before)
            wanted = wanted.order_by(DeployRow.version.desc()).limit(limit)
            return [_version(deploy, row) for deploy in await session.scalars(wanted)]

    async def get(self, project: Project, version: int) -> DeployVersion | None:
        """One version; 0: the active one, None where there is none. Raises DeployUnknown."""
        async with self._database.read() as session:
            row = await living_project(session, project.id)
            wanted = version or row.deploy_version
            return _version(await _deploy(session, row, wanted), row) if wanted else None


def _valid(config: Any, project: Project, rules: ProjectSinkRules) -> CompiledConfig:
    """The config, of which all but the hashes of secrets is checked. Raises PolicyInvalid."""
    read = Policy.parse(config, project_id=project.id, secret=b"").config
    faults = []
    if read.project not in (None, project.slug):
        faults.append(Fault("/project", f"is {read.project!r}, and the project is {project.slug!r}"))
    if read.sinks:
        # It loads the sinks and their HTTP client: 20 MB that a service without such configs does without.
        from headgate_service.project_sinks.rules import project_sink_faults

        faults += project_sink_faults(read.sinks, rules)
    if faults:
        raise PolicyInvalid(faults)
    return read


async def _active(session: AsyncSession, row: ProjectRow) -> Mapping[str, Any]:
    return _config(await _deploy(session, row, row.deploy_version)) if row.deploy_version else NO_CONFIG


async def _deploy(session: AsyncSession, row: ProjectRow, version: int) -> DeployRow:
    deploy = await session.get(DeployRow, (row.id, version))
    if deploy is None:
        raise DeployUnknown(f"{row.slug} has no version {version}")
    return deploy


def _config(deploy: DeployRow) -> dict[str, Any]:
    config: dict[str, Any] = orjson.loads(deploy.config)
    return config


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [change.path for change in config_changes(before, after)]


def _version(deploy: DeployRow, row: ProjectRow) -> DeployVersion:
    return DeployVersion(
        deploy.version,
        deploy.created_at,
        deploy.created_by,
        deploy.version == row.deploy_version,
        deploy.changed,
        _config(deploy),
    )
