"""Appends requests to the log: the one decision and the one write, made together by `append.lua`."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from hashlib import blake2b, sha1
from importlib.resources import files
from struct import Struct
from typing import Any, Protocol

import msgspec
from redis.exceptions import NoScriptError, ResponseError

from headgate_service.errors import CountersLost, LogUnavailable, RedisUnavailable
from headgate_service.log.acknowledged import Acknowledged
from headgate_service.log.entry import Chunk
from headgate_service.log.month import Month, month_of
from headgate_service.redis.keys import READY_CHANNEL, ProjectKeys, shard_keys
from headgate_service.redis.pipeline import RedisPipeline

MAX_REQUESTS_PER_CALL = 64
REPLICA_MS = 1_000
MAX_BYTES_PER_CALL = 4 * 1024 * 1024
# Redis does nothing else during a call: 10,000 events with ids of their clients' keep it for 30 ms.
MAX_EVENTS_PER_CALL = 10_000

_SCRIPT = files(__package__).joinpath("append.lua").read_bytes()
_SCRIPT_SHA = sha1(_SCRIPT, usedforsecurity=False).hexdigest()
_EPOCH_ERROR = "EPOCH "
_BEHIND_ERROR = "BEHIND "
_DUPLICATE = Struct(">I6s6s")
_pack = msgspec.msgpack.Encoder().encode


class EpochNames(Protocol):
    """Which data a shard must hold for anything to be appended: Epochs outside tests."""

    def name(self, shard: int) -> str:
        """The name of the shard's epoch; empty where it is not known."""

    def lost(self, shard: int) -> None:
        """Redis does not hold the epoch of that name."""


class LogProject(msgspec.Struct, frozen=True):
    """What the log needs to know of a project: its place, and its limit of events a UTC month (None: no limit)."""

    id: str
    shard: int
    monthly_limit: int | None

    @property
    def keys(self) -> ProjectKeys:
        return shard_keys(self.shard).project(self.id)


class Idempotency(msgspec.Struct, frozen=True):
    """The key a request may be repeated under, made unique to its credential and route, and what it must then equal."""

    key: str
    request_hash: bytes


class Rate(msgspec.Struct, frozen=True):
    """A fixed window of `window_ms` that starts with the first request of `key` and admits `limit`."""

    key: str
    limit: int
    window_ms: int


class Append(msgspec.Struct, frozen=True):
    """A request to judge and append. `event_ids` are the ids that clients gave, by the events' places in order.

    `counts` are further events of the request, which are not appended, by what the ledger calls them, such as
    `dropped:SAMPLED`: they are counted with it, once. `note` is kept beside the idempotency key, for its repeats. A dry
    run looks at no idempotency key, unless it `asks_replay` and nothing else.
    """

    chunks: Sequence[Chunk]
    event_ids: Mapping[int, str]
    idempotency: Idempotency | None = None
    rate: Rate | None = None
    dry_run: bool = False
    counts: Mapping[str, int] = {}
    note: bytes = b""
    asks_replay: bool = False

    @property
    def events(self) -> int:
        chunks = self.chunks
        return chunks[0].events if len(chunks) == 1 else sum(chunk.events for chunk in chunks)

    @property
    def size(self) -> int:
        """Bytes of payload."""
        chunks = self.chunks
        return len(chunks[0].payload) if len(chunks) == 1 else sum(len(chunk.payload) for chunk in chunks)


class First(msgspec.Struct, frozen=True):
    """The first event of an id: the time of its entry and its ordinal among the project's accepted events."""

    ms: int
    ordinal: int


class Verdict(msgspec.Struct, frozen=True):
    """What the log said.

    `status`: ok, replay, duplicate, dry, mismatch, rate, quota or full. `ms` is when the events became durable, `base`
    the project's count of accepted events before them. `fresh` of the events are new; the others are in `duplicates`,
    by place.
    `month_ms` is the length of the UTC month that counts, `month_left_ms` the time to its end. `note` is that of the
    first request, for a replay.
    """

    status: str
    ms: int
    base: int
    fresh: int
    duplicates: Mapping[int, First]
    rate_used: int
    rate_left_ms: int
    month_used: int
    month_ms: int
    month_left_ms: int
    note: bytes = b""


class _Waiting(msgspec.Struct, eq=False):
    append: Append
    verdict: "asyncio.Future[Verdict]"


class Appender:
    """Gathers the appends of one turn of the event loop, and those that come while a call of their project is in
    flight, and sends one call per project: one script and one fsync for all of them. There is no timer: a lone request
    never waits.

    `bound_bytes` is how much of a project's log a sink of `refusing` may leave unsettled before the project's requests
    are refused with the status full. `remembered_bytes` is how much of Redis's memory the event ids and idempotency
    keys of a project may take; over it the oldest are forgotten. So many replicas as `wait_replicas` must have what was
    appended before it is acknowledged.
    """

    def __init__(
        self,
        redis: RedisPipeline,
        refusing: Callable[[str], Sequence[str]],
        bound_bytes: int,
        now: Callable[[], datetime],
        epochs: EpochNames,
        remembered_bytes: int = 64 * 1024 * 1024,
        wait_replicas: int = 0,
    ) -> None:
        self._redis = redis
        self._refusing = refusing
        self._bound_bytes = bound_bytes
        self._now = now
        self._epochs = epochs
        self._remembered_bytes = remembered_bytes
        self._wait_replicas = wait_replicas
        self._month = month_of(now())
        self.acknowledged = Acknowledged(self._month_now, lambda shard: epochs.name(shard))
        self._gathered: dict[str, tuple[LogProject, list[_Waiting]]] = {}
        self._calls: dict[str, set[asyncio.Task[None]]] = {}
        self._sending = False

    async def append(self, project: LogProject, append: Append) -> Verdict:
        """Raises LogUnavailable where the log did not confirm."""
        loop = asyncio.get_running_loop()
        if not self._sending and project.id not in self._calls:
            self._sending = True
            loop.call_soon(self._send)
        waiting = _Waiting(append, loop.create_future())
        gathered = self._gathered.get(project.id)
        if gathered is None:
            self._gathered[project.id] = (project, [waiting])
        else:
            gathered[1].append(waiting)
        return await waiting.verdict

    def _send(self) -> None:
        self._sending = False
        for project_id in [one for one in self._gathered if one not in self._calls]:
            self._send_gathered(project_id)

    def _send_gathered(self, project_id: str) -> None:
        project, waiting = self._gathered.pop(project_id)
        # More than one where they are too many for one.
        parts = _parts(waiting)
        calls = self._calls[project_id] = set()
        for part in parts:
            call = asyncio.create_task(self._call(project, part))
            calls.add(call)
            call.add_done_callback(partial(self._done, project_id))

    def _done(self, project_id: str, call: "asyncio.Task[None]") -> None:
        calls = self._calls[project_id]
        calls.discard(call)
        if calls:
            return
        del self._calls[project_id]
        if project_id in self._gathered:
            self._send_gathered(project_id)

    async def _call(self, project: LogProject, waiting: Sequence[_Waiting]) -> None:
        try:
            month = self._month_now()
            command = self._command(project, waiting, month)
            replies = await self._evaluate(project, command)
            verdicts = [_verdict(reply, month) for _, reply in zip(waiting, replies, strict=True)]
            if self._wait_replicas and any(verdict.status == "ok" for verdict in verdicts):
                await self._replicated()
        except (RedisUnavailable, ResponseError) as error:
            if str(error).startswith(_EPOCH_ERROR):
                self._epochs.lost(project.shard)
                _fail(waiting, CountersLost("the counters were lost and are not put back yet"))
            else:
                _fail(waiting, LogUnavailable(str(error)))
            return
        except Exception as error:  # noqa: BLE001 - a defect here must reach the callers, who would wait for ever
            _fail(waiting, error)
            return
        for one, verdict in zip(waiting, verdicts, strict=True):
            if verdict.status == "ok":
                self.acknowledged.add(project.id, project.shard, verdict.base + verdict.fresh)
            if not one.verdict.done():
                one.verdict.set_result(verdict)

    def _month_now(self) -> Month:
        now = self._now()
        if not self._month.start <= now < self._month.end:
            self._month = month_of(now)
        return self._month

    async def _evaluate(self, project: LogProject, command: Sequence[bytes | str | int]) -> Any:
        try:
            return await self._send_script(command)
        except ResponseError as error:
            if not str(error).startswith(_BEHIND_ERROR):
                raise
        await self.acknowledged.declare(self._redis.execute, project.id, project.shard)
        return await self._send_script(command)

    async def _replicated(self) -> None:
        """Returns once enough replicas have what was written. Raises RedisUnavailable."""
        wanted = self._wait_replicas
        have: int = await self._redis.execute("WAIT", wanted, REPLICA_MS)
        if have < wanted:
            raise RedisUnavailable(
                f"{have} of the {wanted} replicas of redis.wait_replicas have the events after {REPLICA_MS} ms"
            )

    async def _send_script(self, command: Sequence[bytes | str | int]) -> Any:
        try:
            return await self._redis.execute("EVALSHA", _SCRIPT_SHA, *command)
        except NoScriptError:
            # A Redis that was restarted has forgotten the script, and has done nothing.
            return await self._redis.execute("EVAL", _SCRIPT, *command)

    def _command(self, project: LogProject, waiting: Sequence[_Waiting], month: Month) -> Sequence[bytes | str | int]:
        shard = shard_keys(project.shard)
        keys = project.keys
        names = [
            *(keys.log, keys.use, keys.cursors, shard.ready, shard.projects),
            *(*keys.dedup, shard.epoch, shard.changed),
            *(keys.remembered, *keys.records, shard.remembered),
        ]
        arguments: list[bytes | str | int] = [
            _pack(
                [
                    project.id,
                    READY_CHANNEL,
                    shard.tag,
                    month.field,
                    month.next_field,
                    month.end_ms,
                    -1 if project.monthly_limit is None else project.monthly_limit,
                    self._bound_bytes,
                    [f"c:{sink}" for sink in self._refusing(project.id)],
                    self._epochs.name(project.shard),
                    self._remembered_bytes,
                    self.acknowledged.count(project.id),
                ]
            )
        ]
        for one in waiting:
            append = one.append
            names.append(keys.rate(append.rate.key) if append.rate else keys.log)
            arguments.append(_pack(_meta(append)))
            arguments.append(append.idempotency.request_hash + append.note if append.idempotency else b"")
            arguments.append(b"".join(map(_id_hash, append.event_ids.values())))
            arguments.extend(chunk.payload for chunk in append.chunks)
        return [len(names), *names, *arguments]


def _fail(waiting: Sequence[_Waiting], error: Exception) -> None:
    for one in waiting:
        if not one.verdict.done():
            one.verdict.set_exception(error)


def _meta(append: Append) -> list[Any]:
    meta: list[Any] = [
        append.events,
        int(append.idempotency is not None and (append.asks_replay or not append.dry_run)),
        append.rate.limit if append.rate else -1,
        append.rate.window_ms if append.rate else 0,
        int(append.dry_run),
        [chunk.events for chunk in append.chunks],
        list(append.event_ids),
        append.idempotency.key if append.idempotency else "",
    ]
    if append.counts:
        meta.append(append.counts)
    return meta


def _id_hash(event_id: str) -> bytes:
    return blake2b(event_id.encode(), digest_size=10).digest()


def _verdict(reply: Sequence[Any], month: Month) -> Verdict:
    status, ms, base, fresh, duplicates, rate_used, rate_left_ms, month_used, month_turned, *noted = reply
    starts, ends = (month.end_ms, month.next_end_ms) if month_turned else (month.start_ms, month.end_ms)
    return Verdict(
        status.decode(),
        ms,
        base,
        fresh,
        _duplicates(duplicates) if duplicates else {},
        rate_used,
        rate_left_ms,
        month_used,
        ends - starts,
        max(ends - ms, 0),
        *noted,
    )


def _duplicates(packed: bytes) -> dict[int, First]:
    return {
        index: First(int.from_bytes(first_ms, "big"), int.from_bytes(ordinal, "big"))
        for index, first_ms, ordinal in _DUPLICATE.iter_unpack(packed)
    }


def _parts(waiting: Sequence[_Waiting]) -> list[list[_Waiting]]:
    parts: list[list[_Waiting]] = []
    size = events = 0
    for one in waiting:
        one_size = one.append.size
        one_events = one.append.events
        if (
            not parts
            or size + one_size > MAX_BYTES_PER_CALL
            or events + one_events > MAX_EVENTS_PER_CALL
            or len(parts[-1]) >= MAX_REQUESTS_PER_CALL
        ):
            parts.append([])
            size = events = 0
        parts[-1].append(one)
        size += one_size
        events += one_events
    return parts
