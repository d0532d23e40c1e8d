"""Many projects at once, written into the control DB of a running Headgate."""

import asyncio
import secrets
import time

from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import KeyRow, OrganisationRow, ProjectRow
from headgate_service.model.key import KeyKind, key_hash, lookup_prefix, make_key
from headgate_service.redis.keys import SHARDS
from sqlalchemy import insert, select

from bench.headgate_up import HeadgateUp

# A running service sees a change within a second, and holds to it within five.
_SEEN_SECONDS = 5.0


def create_projects(up: HeadgateUp, count: int) -> tuple[str, ...]:
    """Their public keys."""
    if not count:
        return ()
    keys = asyncio.run(_create(up.database_url, count))
    time.sleep(_SEEN_SECONDS)
    return keys


async def _create(database_url: str, count: int) -> tuple[str, ...]:
    database = ControlDb(database_url, change_seconds=60.0)
    keys = tuple(make_key(KeyKind.PUBLIC, secrets.token_bytes) for _ in range(count))
    now = int(time.time() * 1000)
    try:
        async with database.change() as (session, change):
            organisation = await session.scalar(select(OrganisationRow.id))
            projects = [
                {
                    "id": f"prj_bench{number}",
                    "slug": f"bench-{number}",
                    "name": f"bench {number}",
                    "organisation_id": organisation,
                    "shard": number % SHARDS,
                    "created_at": now,
                    "change": change,
                }
                for number in range(count)
            ]
            await session.execute(insert(ProjectRow), projects)
            await session.execute(
                insert(KeyRow),
                [
                    {
                        "id": f"key_bench{number}",
                        "project_id": f"prj_bench{number}",
                        "organisation_id": organisation,
                        "kind": KeyKind.PUBLIC.value,
                        "hash": key_hash(key),
                        "lookup": lookup_prefix(key_hash(key)),
                        "scopes": [],
                        "created_at": now,
                        "change": change,
                    }
                    for number, key in enumerate(keys)
                ],
            )
    finally:
        await database.close()
    return keys
