import asyncio
from contextlib import ExitStack

import pytest
import redis.asyncio as redis
from headgate_service.errors import TooManyTails
from headgate_service.log.tail import CONNECTIONS, MAX_CALLERS, MAX_OPERATORS, Watchers
from headgate_service.model.principal import Principal, PrincipalKind

ADA, BOB, CY = (Principal(PrincipalKind.SESSION, user_id=name, credential_id=f"ses_{name}") for name in "abc")


def test_so_many_watch_at_once_and_so_many_of_each() -> None:
    watchers = Watchers(most=3, most_each=2)
    with ExitStack() as watching:
        for who in (ADA, ADA, BOB):
            watching.enter_context(watchers.one_more(who, "p"))
        with pytest.raises(TooManyTails, match="you watch 2 times"):
            watching.enter_context(watchers.one_more(ADA, "p"))
        with pytest.raises(TooManyTails, match="3 watch events at this service"):
            watching.enter_context(watchers.one_more(CY, "p"))
    with ExitStack() as watching:
        for who in (ADA, ADA, CY):
            watching.enter_context(watchers.one_more(who, "p"))


def test_one_project_leaves_room_for_others() -> None:
    watchers = Watchers(most_project=2)
    with ExitStack() as watching:
        for who in (ADA, BOB):
            watching.enter_context(watchers.one_more(who, "p"))
        with pytest.raises(TooManyTails, match="2 watch the project's events"):
            watching.enter_context(watchers.one_more(CY, "p"))
        watching.enter_context(watchers.one_more(CY, "other"))
    with watchers.one_more(CY, "p"):
        pass


async def test_those_who_may_watch_have_a_connection_each(redis_url) -> None:
    """The pool of the service is larger than all of them, and no command of another waits for them."""
    client = redis.Redis.from_url(redis_url, max_connections=CONNECTIONS)
    count = MAX_CALLERS + MAX_OPERATORS
    watching = [asyncio.ensure_future(client.xread({"log": "0"}, block=2_000)) for _ in range(count)]
    await asyncio.sleep(0)
    assert await client.ping()
    assert not any(await asyncio.gather(*watching))
    await client.aclose()
