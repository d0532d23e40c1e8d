"""The policies that projects have active, read once per version and away from the event path."""

import asyncio
from collections.abc import Mapping, Sequence

import orjson
import structlog
from sqlalchemy import select, tuple_

from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import DeployRow
from headgate_service.errors import PolicyInvalid
from headgate_service.failure import Fault
from headgate_service.policy.policy import Policy

# How many versions back one is looked for that this release can read.
VERSIONS_BACK = 20
_PROJECTS_AT_ONCE = 200

_log = structlog.get_logger()


class ActivePolicies:
    """Remembers what it read. `secret` is what hashes of personal data are keyed with.

    A version that this release cannot read, as one may be that a newer release took, leaves the last one in force that
    it could. Where there is none, the project's requests are refused as not confirmed: to take them without the rules
    would let through what the rules hide.
    """

    def __init__(self, database: ControlDb, secret: bytes) -> None:
        self._database = database
        self._secret = secret
        self._read: dict[str, tuple[int, Policy | None]] = {}

    async def learn(self, versions: Mapping[str, int]) -> None:
        """Reads the active versions of projects that are not known yet. Raises ControlDbUnavailable."""
        new = [
            (project_id, version) for project_id, version in versions.items() if not self._knows(project_id, version)
        ]
        for first in range(0, len(new), _PROJECTS_AT_ONCE):
            part = new[first : first + _PROJECTS_AT_ONCE]
            configs = await self._configs(part)
            # Schemas take milliseconds to compile, in which no event should wait.
            parsed = await asyncio.to_thread(_parse_each, configs, self._secret)
            for project_id, version in part:
                policy = parsed.get((project_id, version))
                if version and not isinstance(policy, Policy):
                    policy = await self._instead(project_id, version, policy)
                self._read[project_id] = version, policy if isinstance(policy, Policy) else None

    def of(self, project_id: str) -> Policy | None:
        """The policy of a project, as it was learnt; None where it has none."""
        return self._read.get(project_id, (0, None))[1]

    def _knows(self, project_id: str, version: int) -> bool:
        return self._read.get(project_id, (0, None))[0] == version

    async def _configs(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
        deployed = [place for place in places if place[1]]
        if not deployed:
            return {}
        wanted = select(DeployRow).where(tuple_(DeployRow.project_id, DeployRow.version).in_(deployed))
        async with self._database.read() as session:
            return {(row.project_id, row.version): row.config for row in await session.scalars(wanted)}

    async def _instead(self, project_id: str, version: int, error: PolicyInvalid | None) -> Policy:
        """What is in force in place of a version that cannot be read."""
        kept = self.of(project_id)
        in_force = "the one before it"
        if kept is None or not kept.readable:
            kept, in_force = await self._older(project_id, version)
        _log.error(
            "a deployed config cannot be read by this release: upgrade it, or activate another version",
            project=project_id,
            version=version,
            in_force=in_force,
            error=str(error),
        )
        return kept or Policy.unreadable(project_id)

    async def _older(self, project_id: str, version: int) -> tuple[Policy | None, str]:
        """The newest version below one that can be read, and its name."""
        wanted = (
            select(DeployRow)
            .where(DeployRow.project_id == project_id, DeployRow.version < version)
            .order_by(DeployRow.version.desc())
            .limit(VERSIONS_BACK)
        )
        async with self._database.read() as session:
            older = [(row.version, row.config) for row in await session.scalars(wanted)]
        parsed = await asyncio.to_thread(
            _parse_each, {(project_id, number): text for number, text in older}, self._secret
        )
        for (_, number), policy in parsed.items():
            if isinstance(policy, Policy):
                return policy, f"version {number}"
        return None, "none: requests are refused"


def _parse_each(configs: Mapping[tuple[str, int], str], secret: bytes) -> dict[tuple[str, int], Policy | PolicyInvalid]:
    return {place: _parse(place[0], config, secret) for place, config in configs.items()}


def _parse(project_id: str, config: str, secret: bytes) -> Policy | PolicyInvalid:
    try:
        return Policy.parse(orjson.loads(config), project_id=project_id, secret=secret)
    except PolicyInvalid as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever one project's config does to its reader, the others go on
        return PolicyInvalid([Fault("", f"cannot be read: {error!r}")])
