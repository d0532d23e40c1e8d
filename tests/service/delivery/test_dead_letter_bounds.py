"""How much of Redis's memory dead letters may take."""

import pytest
from aiohttp import web
from headgate_service.delivery.dead_letter_bounds import DeadLetterTotal
from headgate_service.delivery.lease import Lease, take
from headgate_service.delivery.metrics import DeliveryMetrics
from headgate_service.delivery.settlement import DeadLetterEntry, ProjectSettlement, Settlement
from headgate_service.delivery.shard_log import ShardLog
from headgate_service.directory.project import Project
from headgate_service.log.position import Position
from headgate_service.redis.keys import SHARDS, shard_keys
from headgate_service.sink_control.dead_letters import DeadLetters
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

SHARD = 7
KEYS = shard_keys(SHARD)
EVENT = b"e" * 1000


def letter(sink: str, ordinal: int) -> DeadLetterEntry:
    fields = ["sink", sink, "lo", ordinal - 1, "hi", ordinal, "code", "no", "message", "m"]
    return DeadLetterEntry([*fields, "attempts", 1, "first_ms", 1, "ms", 1], EVENT)


@pytest.fixture
async def log(producer) -> ShardLog:
    lease = await take(producer.pipeline, SHARD, KEYS, "me", 60_000)
    assert isinstance(lease, Lease)
    return ShardLog(producer.pipeline, lease)


class Dying:
    """Settles events as dead, one after the other."""

    def __init__(self, log: ShardLog) -> None:
        self._log = log
        self._versions: dict[str, int] = {}

    async def settle(self, project: str, sink: str, count: int, bound: int = 1 << 30) -> int:
        """Returns how many letters were not kept."""
        letters = [letter(sink, ordinal + 1) for ordinal in range(count)]
        settled = ProjectSettlement(project, Position("5-0", count, 9), 0, count, [(0, count)], letters)
        version = self._versions.get(sink, 0)
        recorded = await self._log.settle(sink, version, Settlement(projects=[settled]), bound)
        self._versions[sink] = recorded.version
        return recorded.unkept.get(project, 0)


@pytest.fixture
def dying(log: ShardLog) -> Dying:
    return Dying(log)


def project(name: str) -> Project:
    return Project(name, name, name, "org", SHARD, None, None)


async def test_a_projects_letters_of_one_sink_have_a_bound_of_their_own(dying, redis):
    assert await dying.settle("a", "hook", 10, bound=6_000) == 5
    assert await dying.settle("a", "hook", 1, bound=6_000) == 1
    assert await dying.settle("a", "other", 2, bound=6_000) == 0
    assert await dying.settle("b", "hook", 2, bound=6_000) == 0
    keys = KEYS.project("a")
    assert await redis.xlen(keys.dead) == 7
    assert await redis.hget(keys.cursors, "dead:hook") == b"11"
    by_sink = {sink: int(size) for sink, size in (await redis.hgetall(keys.letters)).items()}
    assert 5_000 < by_sink[b"hook"] <= 6_000
    assert await redis.zscore(KEYS.letters, "a") == sum(by_sink.values())


async def test_purged_letters_make_room(dying, producer, redis):
    letters = DeadLetters(producer.pipeline)
    assert await dying.settle("a", "hook", 5, bound=6_000) == 0
    assert await dying.settle("a", "hook", 1, bound=6_000) == 1
    assert await letters.purge(project("a"), "hook", None) == (5, 0)
    assert await redis.zscore(KEYS.letters, "a") == 0
    assert await dying.settle("a", "hook", 6, bound=6_000) == 1


async def test_letters_of_an_earlier_version_have_no_size_and_change_none(dying, producer, redis):
    fields = letter("hook", 1).fields
    await redis.xadd(KEYS.project("a").dead, dict(zip(fields[::2], fields[1::2], strict=True)))
    await dying.settle("a", "hook", 1)
    size = await redis.zscore(KEYS.letters, "a")
    letters = DeadLetters(producer.pipeline)
    old, _ = [one.id async for one in letters.of(project("a"), "hook")]
    assert await letters.purge(project("a"), "hook", [old]) == (1, 0)
    assert await redis.zscore(KEYS.letters, "a") == size


async def test_over_all_the_projects_with_the_most_lose_their_oldest(dying, producer, redis):
    await dying.settle("loud", "hook", 300)
    await dying.settle("loud", "other", 5)
    await dying.settle("quiet", "hook", 10)
    registry = CollectorRegistry()
    total = DeadLetterTotal(producer.pipeline, {KEYS.tag}, 100_000, DeliveryMetrics(registry, lambda: 0.0))
    with capture_logs() as logs:
        await total.look()
    kept = [int(fields[b"hi"]) for _, fields in await redis.xrange(KEYS.project("loud").dead)]
    assert kept[-6:] == [300, 1, 2, 3, 4, 5]
    assert kept[:-5] == list(range(kept[0], 301))
    assert 70 < len(kept) < 85
    assert await redis.xlen(KEYS.project("quiet").dead) == 10
    size = registry.get_sample_value("headgate_dead_letter_bytes")
    assert size is not None
    assert 95_000 < size <= 100_000
    assert size == sum([score for _, score in await redis.zrange(KEYS.letters, 0, -1, withscores=True)])
    (said,) = [one for one in logs if "removed" in one["event"]]
    assert (said["sink"], said["project"], said["letters"]) == ("hook", "loud", 305 - len(kept))
    with capture_logs() as logs:
        await total.look()
    assert logs == []


async def test_a_shard_that_another_holds_is_left_to_it(dying, producer, redis):
    await dying.settle("loud", "hook", 10)
    await DeadLetterTotal(producer.pipeline, set(), 1_000, DeliveryMetrics(CollectorRegistry(), lambda: 0.0)).look()
    assert await redis.xlen(KEYS.project("loud").dead) == 10


async def test_a_count_of_letters_that_are_gone_ends(dying, producer, redis):
    await dying.settle("loud", "hook", 10)
    await redis.delete(KEYS.project("loud").dead)
    await DeadLetterTotal(
        producer.pipeline, {KEYS.tag}, 1_000, DeliveryMetrics(CollectorRegistry(), lambda: 0.0)
    ).look()
    assert await redis.zscore(KEYS.letters, "loud") is None


async def test_what_is_not_kept_is_dead_in_the_books_and_named(rig, producer, target, redis, balanced):
    target.refuse = lambda request, body: web.Response(status=422, text="no")
    registry = CollectorRegistry()
    shard = sum(b"a") % SHARDS
    keys = shard_keys(shard)
    await producer.append("a", 50)

    async def settled() -> bool:
        return await redis.hget(keys.project("a").cursors, "dead:hook") == b"50"

    config = rig.config(rig.webhook(), dead_letter_bytes=2_000)
    with capture_logs() as logs:
        async with rig.forwarding(config, registry=registry):
            await rig.eventually(settled)
    kept = await redis.xlen(keys.project("a").dead)
    assert 0 < kept < 10
    assert await redis.zscore(keys.letters, "a") <= 2_000
    (said,) = [one for one in logs if "are not kept" in one["event"]]
    assert (said["sink"], said["project"]) == ("hook", "a")
    await balanced("hook")
    unkept = registry.get_sample_value("headgate_sink_dead_letters_unkept_total", {"sink": "hook"})
    assert kept + unkept == 50

    target.refuse = lambda request, body: None
    letters = DeadLetters(producer.pipeline)
    owner = Project("a", "a", "a", "org", shard, None, None)
    assert await letters.retry(owner, "hook", None) == (kept, 0)

    async def none_left() -> bool:
        return await redis.xlen(keys.project("a").dead) == 0

    async with rig.forwarding(config):
        await rig.eventually(none_left)
    assert await redis.zscore(keys.letters, "a") == 0
    await balanced("hook")
