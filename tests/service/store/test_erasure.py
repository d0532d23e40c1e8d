"""What the store forgets, and what it keeps."""

from dataclasses import dataclass

import pytest
from headgate_service.store.client import Store, StoreUnavailable
from headgate_service.store.retention import Erasure, Upkeep


@dataclass
class Deleted:
    """As much of a project as matters here."""

    id: str


@pytest.fixture
async def asked(store):
    await store.ask("TRUNCATE TABLE headgate_retention")
    client = Store(store.url)
    yield client
    await client.close()


async def fill(store, *rows: tuple[str, str, str, int]) -> None:
    """Project, user id, distinct id, and how many days ago it was received."""
    for project, user, distinct, days in rows:
        query = (
            "INSERT INTO events (project_id, user_id, distinct_id, receive_time)"
            " SELECT {p:String}, {u:String}, {d:String}, now() - toIntervalDay({n:UInt32})"
        )
        await store.ask(query, param_p=project, param_u=user, param_d=distinct, param_n=str(days))


async def left(store) -> list[tuple[object, ...]]:
    found = await store.rows("SELECT project_id, user_id, distinct_id FROM events ORDER BY ALL")
    return [tuple(row.values()) for row in found]


async def test_a_person_is_gone_and_nobody_else(store, asked):
    await fill(store, ("p", "u'1", "d", 3), ("p", "", "u'1", 1), ("p", "u2", "d", 0), ("q", "u'1", "d", 0))
    erased = await Erasure(asked).user("p", "u'1")
    assert (erased.events, erased.remaining) == (2, 0)
    assert erased.first is not None
    assert erased.last is not None
    assert (erased.last - erased.first).days == 2
    assert await left(store) == [("p", "u2", "d"), ("q", "u'1", "d")]
    assert (await Erasure(asked).user("p", "u'1")).events == 0
    # Not hidden, but gone from the files.
    assert await store.rows("SELECT count() AS n FROM system.mutations WHERE NOT is_done") == [{"n": 0}]


async def test_events_are_kept_as_long_as_their_project_says(store, asked):
    erasure = Erasure(asked)
    await fill(store, *((project, "u", str(days), days) for project in "pqr" for days in (0, 9, 12, 40)))
    assert await erasure.kept_long_enough() == 0
    for project, days in (("p", 5), ("q", 30), ("p", 10), ("r", 1), ("r", 0)):
        await erasure.keep(project, days)
    assert await erasure.kept_long_enough() == 3
    assert [row[2] for row in await left(store) if row[0] == "p"] == ["0", "9"]
    assert [row[2] for row in await left(store) if row[0] == "q"] == ["0", "12", "9"]
    assert len([row for row in await left(store) if row[0] == "r"]) == 4
    assert await erasure.kept_long_enough() == 0


async def test_the_service_looks_after_a_store_of_others_too(store, asked):
    await fill(store, ("p", "u", "d", 0), ("gone", "u", "d", 0))
    upkeep = Upkeep(asked, lambda: [Deleted("gone"), Deleted("never there")])
    await upkeep.look()
    assert await left(store) == [("p", "u", "d")]
    with pytest.raises(StoreUnavailable):
        await Upkeep(Store("unix:/nowhere/store.sock"), list).look()
