"""Limits and retries as clients meet them over HTTP."""

import asyncio
from collections import Counter

import aiohttp
import pytest


def one(number: int, count: int = 1) -> list[dict]:
    event = {
        "event": "x",
        "timestamp": "2026-02-03T15:30:00.000Z",
        "distinctId": "u",
        "sessionId": "s",
        "properties": {"number": number},
    }
    return [event] * count


async def send_all(headgate, key: str, bodies: list[object], clients: int = 32, **headers: str) -> Counter[int]:
    """Sends the bodies by so many clients at once; how often each status came."""
    statuses: Counter[int] = Counter()
    left = iter(bodies)

    async def client(session: aiohttp.ClientSession) -> None:
        for body in left:
            async with session.post(headgate.http, json=body, headers={"X-API-Key": key, **headers}) as answer:
                statuses[answer.status] += 1
                await answer.read()

    connector = aiohttp.TCPConnector(limit=clients)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))
    return statuses


async def test_a_window_of_1000_admits_exactly_1000_under_32_clients(headgate):
    made = headgate.json("project", "create", "Busy")
    statuses = await send_all(headgate, made["keys"]["public"], [one(n) for n in range(1100)])
    assert statuses == {200: 1000, 429: 100}


async def test_the_monthly_limit_is_never_overshot_and_a_refused_batch_counts_nothing(headgate, wait_until):
    made = headgate.json("project", "create", "Small", "--monthly-limit", "500", "--rate-limit", "100000/60s")
    statuses = await send_all(headgate, made["keys"]["public"], [one(n, 7) for n in range(100)])
    # 71 batches of 7 are 497; no further one fits, and three single events still do.
    assert statuses == {200: 71, 429: 29}
    assert await send_all(headgate, made["keys"]["public"], [one(n) for n in range(5)], clients=1) == {200: 3, 429: 2}

    def written() -> int:
        return sum(event["projectId"] == made["project"]["id"] for event in headgate.written())

    wait_until(lambda: written() >= 500, "the sink has the project's 500 events")
    assert written() == 500


@pytest.mark.parametrize("clients", [1, 32])
async def test_a_repeated_idempotency_key_stores_once(headgate, wait_until, clients):
    made = headgate.json("project", "create", f"Repeats {clients}")
    key = made["keys"]["public"]
    assert await send_all(headgate, key, [one(1, 3)] * 64, clients, **{"Idempotency-Key": "k-1"}) == {200: 64}
    assert await send_all(headgate, key, [one(2)], **{"Idempotency-Key": "k-1"}) == {422: 1}
    assert await send_all(headgate, key, [one(3)]) == {200: 1}

    def written() -> list[int]:
        mine = [event for event in headgate.written() if event["projectId"] == made["project"]["id"]]
        return [event["properties"]["number"] for event in mine]

    wait_until(lambda: 3 in written(), "the sink has the last event")
    assert sorted(written()) == [1, 1, 1, 3]
