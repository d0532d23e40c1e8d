"""Events put straight into the store of a Headgate: of one project, some names, half a million users, 90 days."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from headgate_service.store.client import Store
from headgate_service.store.schema import INSERT_SETTINGS, TABLE

from bench.headgate_up import HeadgateUp

FIRST_DAY, LAST_DAY = "2026-01-01", "2026-03-31"
_FIRST_MS = 1_767_225_600_000
_DAYS = 90
_USERS = 500_000
_STEP = 500_000
_SECONDS = 120.0

# Numbers are spread by hashes, so that every run has the same events.
_ROWS = f"""
SELECT {{project:String}}, event, ts, ts, toString(number), user, session, path, concat(
    '{{"$pathname":"', path, '","plan":"', ['free', 'pro', 'team'][1 + h % 3],
    '","country":"',
    ['US','DE','FR','GB','IN','JP','BR','CA','ES','IT','NL','SE','PL','AU','MX'][1 + intDiv(c * c, 67000)],
    '","amount":', toString((h % 10000) / 100), ',"items":', toString(g % 20),
    ',"browser":"', ['Chrome', 'Safari', 'Firefox', 'Edge'][1 + h % 4], '"}}')
FROM (
    SELECT number, cityHash64(number) AS h, cityHash64(number, 1) AS g, g % 1000 AS c,
        ['$pageview', '$pageview', '$pageview', '$pageview', '$pageview', 'click', 'click',
         'signup_started', 'signup_completed', 'purchase'][1 + cityHash64(number, 2) % 10] AS event,
        fromUnixTimestamp64Milli(toInt64({_FIRST_MS} + g % ({_DAYS} * 86400000)), 'UTC') AS ts,
        concat('user_', toString(h % {_USERS})) AS user,
        concat('session_', toString(h % {_USERS}), '_', toString(g % 5)) AS session,
        ['/', '/pricing', '/docs', '/blog', '/about'][1 + g % 5] AS path
    FROM numbers({{first:UInt64}}, {{count:UInt64}})
)
"""  # noqa: S608 - made of numbers that stand above
_INSERT = (
    f"INSERT INTO {TABLE} (project_id, event, ts, receive_time, event_id, distinct_id, session_id, page_path,"
    f" properties_raw) {_ROWS}"
)


@contextlib.asynccontextmanager
async def store_of(up: HeadgateUp) -> AsyncIterator[Store]:
    store = Store(f"unix:{up.data / 'run' / 'store.sock'}", deadline=_SECONDS)
    try:
        yield store
    finally:
        await store.close()


def fill_store(up: HeadgateUp, project_id: str, events: int) -> None:
    async def fill() -> None:
        async with store_of(up) as store:
            for first in range(0, events, _STEP):
                part = {"project": project_id, "first": first, "count": min(_STEP, events - first)}
                await store.command(_INSERT, part, {**INSERT_SETTINGS, "max_execution_time": str(int(_SECONDS))})

    asyncio.run(fill())
