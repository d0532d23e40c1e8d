"""A shard of the log as the holder of its lease sees it: what there is, how far each sink is, and what is promised."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from headgate.v1 import log_pb2

from headgate_service.delivery.lease import Lease
from headgate_service.delivery.settlement import Settlement
from headgate_service.log.position import KEPT_MS, Position, filtered_bits, oldest
from headgate_service.log.reader import Entry, entry
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.redis.script import Script

_POP, _SEAL, _SETTLE, _TRIM = (Script(name, __package__) for name in ("pop", "seal", "settle", "trim"))
_pack = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Use:
    """A project's accepted events and payload bytes."""

    seq: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Trimmed:
    """`entries` went. The oldest that is left is too old in `due_ms`, which is below 0 where a sink holds it.
    `gone_bytes`: payload bytes of the project that went by now."""

    entries: int
    due_ms: int
    gone_bytes: int


@dataclass(frozen=True, slots=True)
class Seals:
    """What is promised to a sink: the batches by rising number, and the version to change them under."""

    version: int
    batches: Mapping[int, log_pb2.SealedBatch]


class Recorded(NamedTuple):
    """The next version, the numbers of the replacements, and by project how many dead letters found no room."""

    version: int
    numbers: list[int]
    unkept: Mapping[str, int]


class ShardLog:
    """Every method raises RedisUnavailable, and those that write raise Fenced once the lease is lost."""

    def __init__(self, redis: RedisPipeline, lease: Lease) -> None:
        self._redis = redis
        self._lease = lease
        self._keys = lease.keys
        self.shard = lease.shard

    async def projects(self) -> list[str]:
        """The ids of the projects that ever had an entry."""
        return [name.decode() for name in await self._redis.execute("SMEMBERS", self._keys.projects)]

    async def pop_ready(self, count: int = 1000) -> list[str]:
        popped = await _POP.run(
            self._redis, [self._keys.lease, self._keys.ready, self._keys.changed], self._lease.token, count
        )
        return [name.decode() for name in popped]

    async def use(self, project_ids: Sequence[str]) -> list[Use]:
        replies = await asyncio.gather(
            *(self._redis.execute("HMGET", self._keys.project(one).use, "seq", "bytes") for one in project_ids)
        )
        return [Use(int(seq or 0), int(size or 0)) for seq, size in replies]

    async def positions(self, project_ids: Sequence[str], sink: str) -> list[Position]:
        """How far the sink is in each project."""
        replies = await asyncio.gather(*(self._position(project_id, sink) for project_id in project_ids))
        return list(replies)

    async def _position(self, project_id: str, sink: str) -> Position:
        keys = self._keys.project(project_id)
        (cursor,), trimmed = await asyncio.gather(
            self._redis.execute("HMGET", keys.cursors, f"c:{sink}"),
            self._redis.execute("HMGET", keys.use, "trimmed_seq", "trimmed_bytes"),
        )
        if cursor is not None:
            return Position.parse(cursor.decode())
        return oldest(int(trimmed[0] or 0), int(trimmed[1] or 0))

    async def end(self, project_id: str) -> Position:
        """Where the project's log ends."""
        keys = self._keys.project(project_id)
        last, (use,) = await asyncio.gather(
            self._redis.execute("XREVRANGE", keys.log, "+", "-", "COUNT", 1), self.use([project_id])
        )
        return Position(last[0][0].decode() if last else "0-0", use.seq, use.bytes)

    async def read(self, project_id: str, after: str, count: int) -> list[Entry]:
        """At most `count` entries after an id."""
        key = self._keys.project(project_id).log
        return _entries(
            project_id, await self._redis.execute("XRANGE", key, _following(after), "+", "COUNT", max(count, 1))
        )

    async def read_range(self, project_id: str, after: str, last: str) -> list[Entry]:
        """The entries after one id through another."""
        key = self._keys.project(project_id).log
        return _entries(project_id, await self._redis.execute("XRANGE", key, _following(after), last))

    async def now_ms(self) -> int:
        """Milliseconds since 1970 by the log's clock."""
        seconds, micros = await self._redis.execute("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def seals(self, sink: str) -> Seals:
        raw = await self._redis.execute("HGETALL", self._keys.seals(sink))
        fields = {raw[i]: raw[i + 1] for i in range(0, len(raw), 2)}
        fields.pop(b"n", None)
        version = int(fields.pop(b"v", 0))
        return Seals(
            version,
            {number: log_pb2.SealedBatch.FromString(fields[b"%d" % number]) for number in sorted(map(int, fields))},
        )

    async def seal(self, sink: str, version: int, batch: bytes) -> tuple[int, int]:
        """Promises a batch; returns its number and the next version. Raises Stale."""
        keys = [self._keys.lease, self._keys.seals(sink)]
        number, version = await _SEAL.run(
            self._redis, keys, self._lease.token, self._lease.milliseconds, version, batch
        )
        return number, version

    async def settle(self, sink: str, version: int, settlement: Settlement, letter_bytes: int) -> Recorded:
        """Records a settlement. Of a project the sink's dead letters may take so many bytes. Raises Stale."""
        keys = [self._keys.lease, self._keys.seals(sink), self._keys.changed, self._keys.letters]
        for one in settlement.projects:
            project = self._keys.project(one.project_id)
            keys += [project.cursors, project.dead, project.dead_ranges(sink), project.use, project.letters]
        blobs: list[bytes] = []
        pieces = [filtered_bits(one.filtered) for one in settlement.projects]
        for one, bits in zip(settlement.projects, pieces, strict=True):
            keys += [self._keys.project(one.project_id).filtered(sink, piece.block) for piece in bits]

        def place(blob: bytes) -> int:
            blobs.append(blob)
            return len(blobs)

        body = _pack(
            [
                sink,
                settlement.gone,
                [place(batch) for batch in settlement.replacements],
                letter_bytes,
                [
                    [
                        str(one.position),
                        one.delivered,
                        one.dead,
                        one.dead_ranges,
                        [[*letter.fields, place(letter.event) if letter.event else 0] for letter in one.letters],
                        len(one.filtered),
                        one.route_errors,
                        [[piece.offset, place(piece.bits)] for piece in bits],
                        one.project_id,
                    ]
                    for one, bits in zip(settlement.projects, pieces, strict=True)
                ],
                KEPT_MS,
            ]
        )
        version, numbers, unkept = await _SETTLE.run(
            self._redis, keys, self._lease.token, self._lease.milliseconds, version, body, *blobs
        )
        projects = (one.project_id for one in settlement.projects)
        return Recorded(version, numbers, {one: count for one, count in zip(projects, unkept, strict=True) if count})

    async def trim(self, project_id: str, sinks: Iterable[str], keep_ms: int, keep_bytes: int) -> Trimmed:
        """Removes what every sink is done with and need not be kept."""
        project = self._keys.project(project_id)
        keys = [self._keys.lease, project.log, project.cursors, project.use]
        removed, due_ms, gone_bytes = await _TRIM.run(
            self._redis, keys, self._lease.token, self._lease.milliseconds, keep_ms, keep_bytes, *sinks
        )
        return Trimmed(removed, due_ms, gone_bytes)


class ProjectLog(ShardLog):
    """Of a shard's log one project's part."""

    def __init__(self, redis: RedisPipeline, lease: Lease, project_id: str) -> None:
        super().__init__(redis, lease)
        self._project_id = project_id

    async def projects(self) -> list[str]:
        return [self._project_id]


def _following(entry_id: str) -> str:
    return f"({entry_id}"


def _entries(project_id: str, raw: Sequence[Any]) -> list[Entry]:
    return [entry(project_id, entry_id, dict(zip(fields[::2], fields[1::2], strict=True))) for entry_id, fields in raw]
