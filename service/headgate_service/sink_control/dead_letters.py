"""The events that sinks would not take: to look at, to send again, to delete."""

import dataclasses
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass

from headgate.v1 import delivery_pb2, event_pb2

from headgate_service.directory.project import Project
from headgate_service.errors import DeadLetterUnknown
from headgate_service.redis.keys import COMMANDS, REPLAYS, replay_of, replay_sink, shard_keys
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.redis.script import Script

_LETTERS_AT_ONCE = 100

_RETRY, _PURGE = Script("retry", __package__), Script("purge", __package__)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as it was stored; `event` is None in a summary, which stands for `events` of them.
    `replay`: the id of the replay into the sink whose it is; empty: it is the sink's own."""

    id: str
    project: Project
    sink: str
    code: str
    message: str
    attempts: int
    first_ms: int
    ms: int
    ordinal: int
    events: int
    event: event_pb2.Event | None
    retrying: bool = False
    replay: str = ""


class DeadLetters:
    """Every method raises RedisUnavailable, ResponseError."""

    def __init__(self, redis: RedisPipeline) -> None:
        self._redis = redis

    async def of(self, project: Project, sink: str, replay: str = "") -> AsyncIterator[DeadLetter]:
        """A sink's letters, or those of a replay into it, the oldest first."""
        shard = shard_keys(project.shard)
        queued = {name.decode() for name in await self._redis.execute("HKEYS", shard.retries(sink))}
        after = "-"
        while True:
            raw = await self._redis.execute(
                "XRANGE", shard.project(project.id).dead, after, "+", "COUNT", _LETTERS_AT_ONCE
            )
            for letter_id, fields in raw:
                letter = _letter(project, letter_id, fields, queued)
                if letter.replay == replay and (replay or letter.sink == sink):
                    yield dataclasses.replace(letter, sink=sink)
            if len(raw) < _LETTERS_AT_ONCE:
                return
            after = f"({raw[-1][0].decode()}"

    async def get(self, project: Project, letter_id: str) -> DeadLetter:
        """Raises DeadLetterUnknown."""
        shard = shard_keys(project.shard)
        found = []
        if _is_id(letter_id):
            found = await self._redis.execute("XRANGE", shard.project(project.id).dead, letter_id, letter_id)
        if not found:
            raise DeadLetterUnknown(
                f"the project {project.slug} has no dead letter {letter_id}: it may be delivered by now"
            )
        found_id, fields = found[0]
        letter = _letter(project, found_id, fields, ())
        if letter.replay:
            raw = await self._redis.execute("HGET", REPLAYS, letter.replay)
            letter = dataclasses.replace(letter, sink=delivery_pb2.StoredReplay.FromString(raw or b"").sink)
        queued = await self._redis.execute("HEXISTS", shard.retries(letter.sink), f"{project.id} {letter.id}")
        return dataclasses.replace(letter, retrying=bool(queued))

    async def retry(
        self, project: Project, sink: str, ids: Collection[str] | None, replay: str = ""
    ) -> tuple[int, int]:
        """Has letters' events sent again, None: all of them. Returns how many are, and how many are not."""
        shard, queued, asked = shard_keys(project.shard), 0, 0
        stored: list[bytes | str] = []

        async def send() -> int:
            keys = [shard.retries(sink), shard.project(project.id).dead]
            taken: int = await _RETRY.run(self._redis, keys, project.id, *stored) if stored else 0
            stored.clear()
            return taken

        async for letter in self.of(project, sink, replay):
            if ids is None or letter.id in ids:
                asked += 1
                if letter.event is not None and not letter.retrying:
                    stored += [letter.id, _stored(letter)]
            if len(stored) >= 2 * _LETTERS_AT_ONCE:
                queued += await send()
        queued += await send()
        await self._redis.execute("INCR", COMMANDS)
        return queued, (asked if ids is None else len(ids)) - queued

    async def purge(
        self, project: Project, sink: str, ids: Collection[str] | None, replay: str = ""
    ) -> tuple[int, int]:
        """Deletes letters, None: all of them. Returns how many went, and how many did not."""
        shard = shard_keys(project.shard)
        keys = [shard.retries(sink), shard.project(project.id).dead, shard.project(project.id).letters, shard.letters]
        named = replay_sink(replay) if replay else sink
        found = [letter.id async for letter in self.of(project, sink, replay) if ids is None or letter.id in ids]
        gone = 0
        for first in range(0, len(found), _LETTERS_AT_ONCE):
            gone += await _PURGE.run(self._redis, keys, project.id, named, *found[first : first + _LETTERS_AT_ONCE])
        return gone, (len(found) if ids is None else len(ids)) - gone


def _letter(project: Project, letter_id: bytes, raw: Sequence[bytes], queued: Collection[str]) -> DeadLetter:
    fields = dict(zip(raw[::2], raw[1::2], strict=True))
    event, sink = fields.get(b"event"), fields[b"sink"].decode()
    return DeadLetter(
        id=letter_id.decode(),
        project=project,
        sink=sink,
        code=fields[b"code"].decode(),
        message=fields[b"message"].decode(errors="replace"),
        attempts=int(fields[b"attempts"]),
        first_ms=int(fields[b"first_ms"]),
        ms=int(fields[b"ms"]),
        ordinal=int(fields[b"hi"]),
        events=int(fields.get(b"events", 1)),
        event=None if event is None else event_pb2.Event.FromString(event),
        retrying=f"{project.id} {letter_id.decode()}" in queued,
        replay=replay_of(sink),
    )


def _stored(letter: DeadLetter) -> bytes:
    return delivery_pb2.StoredRetry(
        project_id=letter.project.id,
        letter_id=letter.id,
        ordinal=letter.ordinal,
        attempts=letter.attempts,
        first_ms=letter.first_ms,
        event=letter.event,
        replay_id=letter.replay,
    ).SerializeToString(deterministic=True)


def _is_id(text: str) -> bool:
    first, _, second = text.partition("-")
    return all(part.isascii() and part.isdigit() and len(part) <= 20 and int(part) < 2**64 for part in (first, second))
