"""A preview: what another config would make of the events that a project has stored."""

import itertools
import json
import secrets
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from headgate.v1 import event_pb2
from headgate_service.config import ProjectSinkRules
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import DeployRow
from headgate_service.control_db.schema import migrate
from headgate_service.control_db.secret_box import SecretBox
from headgate_service.deploys.deploys import Deploys
from headgate_service.deploys.preview import Preview, Previews
from headgate_service.directory.project import Project
from headgate_service.errors import PolicyInvalid
from headgate_service.log.append import Append, Appender, LogProject
from headgate_service.log.entry import encode
from headgate_service.project_sinks.secrets import ProjectSecrets
from headgate_service.projects.projects import Projects
from headgate_service.redis.pipeline import RedisPipeline
from sqlalchemy import func, select

SECRET = "whsec_" + "c2VjcmV0" * 4


def hook(name: str, route: str) -> dict[str, Any]:
    config = {"url": "https://e.example"}
    return {"name": name, "use": "webhook", "route": route, "config": config, "secrets": {"secret": SECRET}}


class Shop:
    """A project with a log and an active config."""

    def __init__(self, database: ControlDb, redis: RedisPipeline, epochs: Any, project: Project) -> None:
        self.database, self.redis, self.project = database, redis, project
        ticks = itertools.count(1)
        kept = ProjectSecrets(SecretBox([b"k" * 32], secrets.token_bytes), b"h" * 32)
        self.deploys = Deploys(database, lambda: next(ticks), ProjectSinkRules(), kept)
        self.appender = Appender(redis, lambda _: (), 1 << 40, lambda: datetime.now(UTC), epochs)

    async def store(self, *events: tuple[str, dict[str, Any]]) -> None:
        made = [
            event_pb2.Event(name=name, user_id="u", distinct_id="u", properties_json=json.dumps(properties).encode())
            for name, properties in events
        ]
        place = LogProject(self.project.id, self.project.shard, None)
        await self.appender.append(place, Append(encode(event_pb2.DIALECT_GRPC, made), {}))

    async def deploy(self, **config: Any) -> None:
        await self.deploys.deploy(self.project, {"formatVersion": 1, **config}, "ann", lambda *_: None)

    async def preview(self, last: int = 1000, **config: Any) -> Preview:
        bounds = {name: config.pop(name) for name in ("seconds", "most_bytes") if name in config}
        previews = Previews(self.deploys, self.redis, **bounds)
        return await previews.run(self.project, {"formatVersion": 1, **config}, last)


@pytest.fixture
async def shop(tmp_path: Path, redis_url: str, epochs: Any) -> AsyncIterator[Shop]:
    database, redis = ControlDb(f"sqlite+aiosqlite:///{tmp_path}/control.db"), RedisPipeline(redis_url)
    await migrate(database)
    made = await Projects(database, random=secrets.token_bytes, now_ms=lambda: 0).create_project("shop")
    yield Shop(database, redis, epochs, made.project)
    await redis.close()
    await database.close()


async def test_a_preview_counts_what_differs_and_changes_nothing(shop: Shop):
    await shop.deploy(
        pii=[{"path": "properties.card", "action": "hash"}],
        sinks=[hook("orders", 'event.name == "buy"'), hook("old", "true")],
    )
    await shop.store(*[("buy", {"card": "1", "amount": 5})] * 6, *[("view", {"amount": 5})] * 3)
    await shop.store(*[("buy", {"card": "1", "amount": 500})] * 2, ("debug", {}))
    found = await shop.preview(
        events={"debug": {"enabled": False}, "buy": {"schemaMode": "enforce", "schema": {"required": ["card"]}}},
        pii=[{"path": "properties.card", "action": "drop"}],
        sinks=[hook("orders", "properties.amount > 100.0"), hook("new", 'event.name == "debug"')],
    )
    seen = found.comparison
    assert (found.version, seen.events, found.complete) == (1, 12, True)
    assert abs(found.from_ms - time.time() * 1000) < 60_000
    assert "/sinks" in found.changed
    assert dict(seen.outcomes) == {("debug", "kept", "dropped: switched_off"): 1}
    assert dict(seen.paths) == {"/properties/card": 8}
    reach = {name: (one.before, one.after, one.gained, one.lost) for name, one in seen.sinks.items()}
    assert reach == {"orders": (8, 2, 0, 6), "old": (12, 0, 0, 12), "new": (0, 0, 0, 0)}

    same = await shop.preview(
        pii=[{"path": "properties.card", "action": "hash"}],
        sinks=[hook("orders", 'event.name == "buy"'), hook("old", "true")],
    )
    assert (list(same.changed), dict(same.comparison.outcomes), dict(same.comparison.paths)) == ([], {}, {})
    assert {(one.gained, one.lost) for one in same.comparison.sinks.values()} == {(0, 0)}
    async with shop.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(DeployRow)) == 1


async def test_a_preview_judges_the_latest_events_within_its_bounds(shop: Shop):
    for number in range(40):
        await shop.store(*[(f"e{number}", {"text": secrets.token_hex(500)})] * 5)
    found = await shop.preview(last=7, default={"enabled": False})
    assert dict(found.comparison.outcomes) == {
        ("e39", "kept", "dropped: switched_off"): 5,
        ("e38", "kept", "dropped: switched_off"): 2,
    }
    assert ((await shop.preview(last=1000)).comparison.events, found.complete) == (200, True)
    cut = await shop.preview(last=1000, most_bytes=15_000)
    assert (0 < cut.comparison.events < 200, cut.complete) == (True, False)
    late = await shop.preview(last=1000, seconds=-1.0)
    assert (late.comparison.events, late.complete) == (0, False)


async def test_a_config_that_is_not_valid_is_previewed_no_more_than_deployed(shop: Shop):
    with pytest.raises(PolicyInvalid, match="/sinks/0/route"):
        await shop.preview(sinks=[hook("orders", "event.nam == 1")])
    found = await shop.preview()
    assert (found.comparison.events, found.from_ms, found.complete) == (0, 0, True)
