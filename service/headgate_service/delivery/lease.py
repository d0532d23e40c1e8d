"""The right to deliver a shard: held by one forwarder at a time, for so long, and checked by every script."""

from dataclasses import dataclass

from headgate_service.redis.keys import ShardKeys
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.redis.script import Script

_TAKE, _RENEW, _RELEASE = Script("lease", __package__), Script("renew", __package__), Script("release", __package__)


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease of `milliseconds`, extended by each renewal and by most scripts. `token` names this holding of it: no
    other, earlier or later, has the same. `epoch` names the data that it is a lease of, as long as it is held."""

    shard: int
    keys: ShardKeys
    token: str
    milliseconds: int
    epoch: str

    async def renew(self, redis: RedisPipeline) -> bool:
        """False: it is lost."""
        return bool(await _RENEW.run(redis, [self.keys.lease], self.token, self.milliseconds))

    async def release(self, redis: RedisPipeline) -> None:
        await _RELEASE.run(redis, [self.keys.lease], self.token)


async def take(redis: RedisPipeline, shard: int, keys: ShardKeys, owner: str, milliseconds: int) -> Lease | None:
    """The shard's lease; None where someone else holds it, or where the shard's counters were lost and are not put back
    yet. An earlier life of the same owner loses it to this one."""
    taken = await _TAKE.run(redis, [keys.lease, keys.fence, keys.epoch], owner, milliseconds)
    if taken is None:
        return None
    token, epoch = taken
    return Lease(shard, keys, token.decode(), milliseconds, epoch.decode())


def fair_share(owner: str, owners: list[str], shards: int) -> int:
    """How many shards an owner should hold among `owners`, so that all are held and none has two more than another."""
    others = sorted({*owners, owner})
    base, extra = divmod(shards, len(others))
    return base + (others.index(owner) < extra)
