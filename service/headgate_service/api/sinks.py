"""DeliveryService over the admin socket, whose mode is the only credential."""

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from headgate.v1 import delivery_pb2, delivery_service_pb2_grpc
from headgate.v1 import delivery_service_pb2 as wire

from headgate_service.api.rpc_status import answered
from headgate_service.delivery.books import Books
from headgate_service.directory.directory import Directory
from headgate_service.directory.project import Project
from headgate_service.errors import InvalidArgument, ProjectUnknown, ReplayUnknown
from headgate_service.log.reader import timestamp
from headgate_service.model.route import Route, RouteInvalid, narrowed
from headgate_service.model.sink import SinkSpec
from headgate_service.project_sinks.serving import is_project_sink
from headgate_service.sink_control.dead_letters import DeadLetter, DeadLetters
from headgate_service.sink_control.replays import Replays, ReplayView
from headgate_service.sink_control.sinks import Sinks, SinkTests, SinkView
from headgate_service.sink_control.store_replays import StoreReplays
from headgate_service.store.client import StoreUnavailable

MAX_LETTERS, LETTERS = 1_000, 100
# Later than any entry of a log.
_END_OF_TIME_MS = 1 << 52

_STATES = {
    "RUNNING": wire.SINK_STATE_RUNNING,
    "RETRYING": wire.SINK_STATE_RETRYING,
    "PAUSED": wire.SINK_STATE_PAUSED,
    "BROKEN": wire.SINK_STATE_BROKEN,
    "DISABLED": wire.SINK_STATE_DISABLED,
}
_ENDS = {
    delivery_pb2.StoredReplay.END_UNSPECIFIED: wire.REPLAY_STATE_RUNNING,
    delivery_pb2.StoredReplay.END_DONE: wire.REPLAY_STATE_DONE,
    delivery_pb2.StoredReplay.END_CANCELLED: wire.REPLAY_STATE_CANCELLED,
}

_Context = grpc.aio.ServicerContext[Any, Any]


class DeliveryServicer(delivery_service_pb2_grpc.DeliveryServiceServicer):
    """Translates between the wire and what acts. `now_ms` is milliseconds since 1970. Without
    `store_replays` there is no store."""

    def __init__(
        self,
        directory: Directory,
        sinks: Sinks,
        dead_letters: DeadLetters,
        replays: Replays,
        tests: SinkTests,
        now_ms: Callable[[], int],
        store_replays: StoreReplays | None,
    ) -> None:
        self._directory = directory
        self._sinks = sinks
        self._dead_letters = dead_letters
        self._replays = replays
        self._tests = tests
        self._now_ms = now_ms
        self._store_replays = store_replays

    @answered
    async def ListSinks(self, request: wire.ListSinksRequest, context: _Context) -> wire.ListSinksResponse:
        views = await self._sinks.view(self._projects(request.projects))
        now_ms = self._now_ms()
        return wire.ListSinksResponse(sinks=[row for view in views for row in sink_rows(view, now_ms)])

    @answered
    async def PauseSink(self, request: wire.PauseSinkRequest, context: _Context) -> wire.PauseSinkResponse:
        await self._sinks.pause(request.sink)
        return wire.PauseSinkResponse()

    @answered
    async def ResumeSink(self, request: wire.ResumeSinkRequest, context: _Context) -> wire.ResumeSinkResponse:
        await self._sinks.resume(request.sink)
        return wire.ResumeSinkResponse()

    @answered
    async def TestSink(self, request: wire.TestSinkRequest, context: _Context) -> wire.TestSinkResponse:
        rule = self._sinks.rule(request.sink)
        event_id, fault = await self._tests.run(rule.name)
        return wire.TestSinkResponse(event_id=event_id, delivered=not fault, message=fault)

    @answered
    async def ListDeadLetters(
        self, request: wire.ListDeadLettersRequest, context: _Context
    ) -> wire.ListDeadLettersResponse:
        if not 0 <= request.limit <= MAX_LETTERS:
            raise InvalidArgument("limit", f"must be 0 to {MAX_LETTERS}")
        rule, projects, _ = await self._chosen_letters(request, ())
        limit, response = request.limit or LETTERS, wire.ListDeadLettersResponse()
        for project in projects:
            async for letter in self._dead_letters.of(project, rule.name, request.replay):
                if len(response.dead_letters) == limit:
                    return response
                response.dead_letters.append(dead_letter(letter, with_event=False))
        return response

    @answered
    async def GetDeadLetter(self, request: wire.GetDeadLetterRequest, context: _Context) -> wire.GetDeadLetterResponse:
        letter = await self._dead_letters.get(self._project(request.project), request.id)
        return wire.GetDeadLetterResponse(dead_letter=dead_letter(letter, with_event=True))

    @answered
    async def RetryDeadLetters(
        self, request: wire.RetryDeadLettersRequest, context: _Context
    ) -> wire.RetryDeadLettersResponse:
        rule, projects, ids = await self._chosen_letters(request, request.ids)
        counts = [await self._dead_letters.retry(project, rule.name, ids, request.replay) for project in projects]
        return wire.RetryDeadLettersResponse(queued=sum(one for one, _ in counts), skipped=sum(no for _, no in counts))

    @answered
    async def PurgeDeadLetters(
        self, request: wire.PurgeDeadLettersRequest, context: _Context
    ) -> wire.PurgeDeadLettersResponse:
        rule, projects, ids = await self._chosen_letters(request, request.ids)
        counts = [await self._dead_letters.purge(project, rule.name, ids, request.replay) for project in projects]
        return wire.PurgeDeadLettersResponse(purged=sum(one for one, _ in counts), skipped=sum(no for _, no in counts))

    @answered
    async def PreviewReplay(self, request: wire.PreviewReplayRequest, context: _Context) -> wire.PreviewReplayResponse:
        _, parts, route = await self._selected(request.range)
        events = sum(part.last_seq - part.after_seq for _, part in parts)
        source = self._source(request.range)
        picked, looked_at = (events, events) if route is None else await source.picked(parts, route)
        return wire.PreviewReplayResponse(events=events, projects=len(parts), picked=picked, looked_at=looked_at)

    @answered
    async def StartReplay(self, request: wire.StartReplayRequest, context: _Context) -> wire.StartReplayResponse:
        if request.rate < 0:
            raise InvalidArgument("rate", "must be at least 1, or absent")
        rule, parts, _ = await self._selected(request.range)
        if not rule.enabled:
            raise InvalidArgument("range.sink", f"the sink {rule.name!r} is disabled")
        view = await self._replays.start(
            rule.name, parts, request.rate, request.range.route, from_store=_from_store(request.range)
        )
        return wire.StartReplayResponse(replay=_replay(view))

    @answered
    async def ListReplays(self, request: wire.ListReplaysRequest, context: _Context) -> wire.ListReplaysResponse:
        views = await self._replays.view()
        return wire.ListReplaysResponse(
            replays=[_replay(view) for view in views if request.sink in ("", view.stored.sink)]
        )

    @answered
    async def CancelReplay(self, request: wire.CancelReplayRequest, context: _Context) -> wire.CancelReplayResponse:
        await self._replays.cancel(request.id)
        return wire.CancelReplayResponse()

    async def _selected(self, chosen: wire.ReplayRange) -> tuple[SinkSpec, Sequence[Any], Route | None]:
        """The sink, what is of the time range, and which of it the sink's route and the replay's own pick."""
        rule = self._sinks.rule(chosen.sink)
        try:
            route = narrowed(rule.route, chosen.route)
        except RouteInvalid as error:
            raise InvalidArgument("range.route", str(error)) from None
        from_ms = chosen.from_time.ToMilliseconds() if chosen.HasField("from_time") else 0
        to_ms = chosen.to_time.ToMilliseconds() if chosen.HasField("to_time") else _END_OF_TIME_MS
        if not 0 <= from_ms < to_ms:
            raise InvalidArgument("range.from_time", "must be before `to_time` and not before 1970")
        if rule.use == "store" and _from_store(chosen):
            raise InvalidArgument("range.source", "the store holds what it would be sent")
        projects = self._projects_of(rule, chosen.projects)
        return rule, await self._source(chosen).ranges(projects, from_ms, to_ms), route

    def _source(self, chosen: wire.ReplayRange) -> Replays | StoreReplays:
        if not _from_store(chosen):
            return self._replays
        if self._store_replays is None:
            raise StoreUnavailable("there is no store: set [store] enabled or url")
        return self._store_replays

    async def _chosen_letters(
        self,
        request: wire.ListDeadLettersRequest | wire.RetryDeadLettersRequest | wire.PurgeDeadLettersRequest,
        ids: Sequence[str],
    ) -> tuple[SinkSpec, Sequence[Project], frozenset[str] | None]:
        if ids and not request.project:
            raise InvalidArgument("project", "must be named where letters are: their ids are those of one project")
        rule = self._sinks.rule(request.sink)
        if request.replay and (await self._replays.stored(request.replay)).sink != rule.name:
            raise ReplayUnknown(f"{request.replay!r} is not a replay into {rule.name}")
        return rule, self._projects_of(rule, [request.project] if request.project else []), frozenset(ids) or None

    def _projects_of(self, rule: SinkSpec, named: Sequence[str]) -> Sequence[Project]:
        if is_project_sink(rule.name) and (
            others := [one for one in named if not rule.serves(one, self._project(one).slug)]
        ):
            raise InvalidArgument("projects", f"{rule.name} is another project's own sink than {others[0]}'s")
        # One that is named may have been the sink's before.
        return self._projects(named) if named else [one for one in self._projects(()) if rule.serves(one.id, one.slug)]

    def _projects(self, named: Sequence[str]) -> Sequence[Project]:
        if named:
            return [self._project(name) for name in dict.fromkeys(named)]
        return sorted(self._directory.projects(), key=lambda project: project.slug)

    def _project(self, name: str) -> Project:
        project = self._directory.project(name)
        if project is None:
            raise ProjectUnknown(f"no project {name}: give its slug or id")
        return project


def _from_store(chosen: wire.ReplayRange) -> bool:
    return chosen.source == wire.REPLAY_SOURCE_STORE


def sink_rows(view: SinkView, now_ms: int) -> list[wire.SinkRow]:
    """A sink's rows, one for each project of the view."""

    def row(state: str, last_error: str, **counts: Any) -> wire.SinkRow:
        return wire.SinkRow(
            name=view.rule.name,
            use=view.rule.use,
            state=_STATES.get(state, wire.SINK_STATE_UNSPECIFIED),
            last_error=last_error,
            **counts,
        )

    rows = [row(*view.of(project), project=project.slug, **_counts(books, now_ms)) for project, books in view.books]
    return rows or [row(view.state, view.last_error)]


def _counts(books: Books, now_ms: int) -> dict[str, Any]:
    return {
        "accepted": books.accepted,
        "delivered": books.delivered,
        "filtered": books.filtered,
        "dead": books.dead,
        "pending": books.pending,
        "difference": books.difference,
        "lag_seconds": 0.0 if books.oldest_ms is None else max(0, now_ms - books.oldest_ms) / 1000,
    }


def dead_letter(letter: DeadLetter, with_event: bool) -> wire.DeadLetter:
    """A dead letter, with its event where that is asked for."""
    return wire.DeadLetter(
        id=letter.id,
        project=letter.project.slug,
        sink=letter.sink,
        code=letter.code,
        message=letter.message,
        attempts=letter.attempts,
        first_attempt_time=timestamp(letter.first_ms),
        dead_time=timestamp(letter.ms),
        events=letter.events,
        event=letter.event if with_event else None,
        retrying=letter.retrying,
        replay=letter.replay,
    )


def _replay(view: ReplayView) -> wire.Replay:
    return wire.Replay(
        id=view.stored.id,
        sink=view.stored.sink,
        state=_ENDS[view.stored.end],
        start_time=timestamp(view.stored.start_ms),
        selected=view.selected,
        delivered=view.delivered,
        filtered=view.filtered,
        dead=view.dead,
        pending=view.pending,
        rate=view.stored.rate,
        route=view.stored.route,
    )
