"""ProjectDeliveryService: a project's sinks, dead letters and events, for its members."""

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
from headgate.v1 import delivery_service_pb2 as delivery
from headgate.v1 import project_delivery_service_pb2 as wire
from headgate.v1 import project_delivery_service_pb2_grpc
from headgate.v1.event_pb2 import Event
from headgate.v1.refused_request_pb2 import RefusedRequest

from headgate_service.api.callers import Callers
from headgate_service.api.rpc_status import answered
from headgate_service.api.sinks import LETTERS, MAX_LETTERS, dead_letter, sink_rows
from headgate_service.auth.audit import Author
from headgate_service.directory.project import Project
from headgate_service.errors import InvalidArgument, SinkShared, SinkUnknown
from headgate_service.ingest.refused_requests import RefusedRequests
from headgate_service.log.tail import Tail, Watchers
from headgate_service.model.principal import Role
from headgate_service.model.sink import SinkSpec
from headgate_service.project_sinks.serving import project_sink_name
from headgate_service.sink_control.dead_letters import DeadLetters
from headgate_service.sink_control.event_search import EventSearch
from headgate_service.sink_control.sinks import Sinks, SinkTests, SinkView

# What a JWT's scopes must hold.
READ, WRITE = "logs:read", "projects:write"
MAX_LAST = 1_000
MAX_SEARCHED_CHARACTERS = 300
# How long one whose membership ended may go on watching.
CHECK_SECONDS = 4.0

# Records what was done to what, as ("sink.pause", its name), in the audit log of a project.
Audit = Callable[[Author, str, str, str], Awaitable[None]]

_Context = grpc.aio.ServicerContext[Any, Any]


class ProjectDeliveryServicer(project_delivery_service_pb2_grpc.ProjectDeliveryServiceServicer):
    """Translates between the wire and what acts, once the caller is let in. `now_ms` is milliseconds since 1970."""

    def __init__(
        self,
        callers: Callers,
        sinks: Sinks,
        dead_letters: DeadLetters,
        tail: Tail,
        now_ms: Callable[[], int],
        stopped: asyncio.Event,
        watchers: Watchers,
        refused: RefusedRequests,
        search: EventSearch,
        tests: SinkTests,
        audit: Audit,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._callers = callers
        self._sinks = sinks
        self._dead_letters = dead_letters
        self._tail = tail
        self._now_ms = now_ms
        self._stopped = stopped
        self._watchers = watchers
        self._refused = refused
        self._search = search
        self._tests = tests
        self._audit = audit
        self._check_seconds = check_seconds

    @answered
    async def ListProjectSinks(
        self, request: wire.ListProjectSinksRequest, context: _Context
    ) -> wire.ListProjectSinksResponse:
        _, project = await self._callers.enter(context, request.project, Role.VIEWER, READ)
        views = [view for view in await self._sinks.view([project]) if view.books]
        now_ms = self._now_ms()
        return wire.ListProjectSinksResponse(
            sinks=[_discreet(row, view, project) for view in views for row in sink_rows(view, now_ms)],
            own=[view.rule.name for view in views if _is_own(view.rule, project)],
        )

    @answered
    async def PauseProjectSink(
        self, request: wire.PauseProjectSinkRequest, context: _Context
    ) -> wire.PauseProjectSinkResponse:
        author, project = await self._callers.enter(context, request.project, Role.ADMIN, WRITE)
        rule = self._own_rule(project, request.sink)
        await self._sinks.pause(rule.name)
        await self._audit(author, "sink.pause", rule.name, project.id)
        return wire.PauseProjectSinkResponse()

    @answered
    async def ResumeProjectSink(
        self, request: wire.ResumeProjectSinkRequest, context: _Context
    ) -> wire.ResumeProjectSinkResponse:
        author, project = await self._callers.enter(context, request.project, Role.ADMIN, WRITE)
        rule = self._own_rule(project, request.sink)
        await self._sinks.resume(rule.name)
        await self._audit(author, "sink.resume", rule.name, project.id)
        return wire.ResumeProjectSinkResponse()

    @answered
    async def TestProjectSink(
        self, request: wire.TestProjectSinkRequest, context: _Context
    ) -> wire.TestProjectSinkResponse:
        _, project = await self._callers.enter(context, request.project, Role.MEMBER, WRITE)
        event_id, fault = await self._tests.run(self._own_rule(project, request.sink).name)
        return wire.TestProjectSinkResponse(event_id=event_id, delivered=not fault, message=fault)

    @answered
    async def ListProjectDeadLetters(
        self, request: wire.ListProjectDeadLettersRequest, context: _Context
    ) -> wire.ListProjectDeadLettersResponse:
        _, project = await self._callers.enter(context, request.project, Role.VIEWER, READ)
        if not 0 <= request.limit <= MAX_LETTERS:
            raise InvalidArgument("limit", f"must be 1 to {MAX_LETTERS}, or absent")
        limit = request.limit or LETTERS
        rules = [self._rule(project, request.sink)] if request.sink else self._rules(project)
        response = wire.ListProjectDeadLettersResponse()
        for rule in rules:
            async for letter in self._dead_letters.of(project, rule.name):
                if len(response.dead_letters) == limit:
                    return response
                response.dead_letters.append(dead_letter(letter, with_event=False))
        return response

    @answered
    async def GetProjectDeadLetter(
        self, request: wire.GetProjectDeadLetterRequest, context: _Context
    ) -> wire.GetProjectDeadLetterResponse:
        _, project = await self._callers.enter(context, request.project, Role.VIEWER, READ)
        letter = await self._dead_letters.get(project, request.id)
        return wire.GetProjectDeadLetterResponse(dead_letter=dead_letter(letter, with_event=True))

    @answered
    async def RetryProjectDeadLetters(
        self, request: wire.RetryProjectDeadLettersRequest, context: _Context
    ) -> wire.RetryProjectDeadLettersResponse:
        author, project = await self._callers.enter(context, request.project, Role.MEMBER, WRITE)
        rule = self._rule(project, request.sink)
        queued, skipped = await self._dead_letters.retry(project, rule.name, frozenset(request.ids) or None)
        await self._audit(author, "dead_letters.retry", rule.name, project.id)
        return wire.RetryProjectDeadLettersResponse(queued=queued, skipped=skipped)

    @answered
    async def PurgeProjectDeadLetters(
        self, request: wire.PurgeProjectDeadLettersRequest, context: _Context
    ) -> wire.PurgeProjectDeadLettersResponse:
        author, project = await self._callers.enter(context, request.project, Role.ADMIN, WRITE)
        rule = self._rule(project, request.sink)
        purged, skipped = await self._dead_letters.purge(project, rule.name, frozenset(request.ids) or None)
        await self._audit(author, "dead_letters.purge", rule.name, project.id)
        return wire.PurgeProjectDeadLettersResponse(purged=purged, skipped=skipped)

    @answered
    async def TailProjectEvents(
        self, request: wire.TailProjectEventsRequest, context: _Context
    ) -> AsyncIterator[wire.TailProjectEventsResponse]:
        author, project = await self._callers.enter(context, request.project, Role.VIEWER, READ)
        if not 0 <= request.last <= MAX_LAST:
            raise InvalidArgument("last", f"must be 0 to {MAX_LAST}")
        with self._watchers.one_more(author.principal, project.id):
            # So that the caller hears at once that they are let in.
            yield wire.TailProjectEventsResponse()
            if request.no_follow:
                async for event in self._tail.latest([project], request.last):
                    yield wire.TailProjectEventsResponse(event=event)
                for refused in await self._refused.latest(project, request.last if request.refused else 0):
                    yield wire.TailProjectEventsResponse(refused=refused)
                return
            async for response in self._watch(context, project, request):
                yield response

    @answered
    async def SearchProjectEvents(
        self, request: wire.SearchProjectEventsRequest, context: _Context
    ) -> wire.SearchProjectEventsResponse:
        _, project = await self._callers.enter(context, request.project, Role.VIEWER, READ)
        if not 1 <= len(request.text) <= MAX_SEARCHED_CHARACTERS:
            raise InvalidArgument("text", f"must have 1 to {MAX_SEARCHED_CHARACTERS} characters")
        search = await self._search.search(project, request.text)
        return wire.SearchProjectEventsResponse(
            events=[wire.FoundEvent(event=event, sinks=sinks) for event, sinks in search.found],
            searched=search.searched,
            complete=search.complete,
        )

    async def _watch(
        self, context: _Context, project: Project, request: wire.TailProjectEventsRequest
    ) -> AsyncIterator[wire.TailProjectEventsResponse]:
        loop = asyncio.get_running_loop()
        sources: list[AsyncIterator[Any]] = [self._tail.events(lambda: [project], request.last)]
        if request.refused:
            sources.append(self._refused.events(project, request.last))
        coming = {asyncio.ensure_future(anext(source)): source for source in sources}
        checked, stopping = loop.time(), asyncio.ensure_future(self._stopped.wait())
        try:
            while not self._stopped.is_set():
                due = max(checked + self._check_seconds - loop.time(), 0)
                await asyncio.wait({*coming, stopping}, timeout=due, return_when=FIRST_COMPLETED)
                if loop.time() - checked >= self._check_seconds:
                    # Who was let in may have been shut out since.
                    await self._callers.check(context, project.id, Role.VIEWER, READ)
                    checked = loop.time()
                    yield wire.TailProjectEventsResponse()
                for done in [one for one in coming if one.done()]:
                    source = coming.pop(done)
                    yield _shown(done.result())
                    coming[asyncio.ensure_future(anext(source))] = source
        finally:
            for one in (*coming, stopping):
                one.cancel()

    def _own_rule(self, project: Project, name: str) -> SinkSpec:
        rule = self._rule(project, name)
        if not _is_own(rule, project):
            raise SinkShared(
                f"{rule.name} serves other projects too: its operator may pause, resume and test it (headgate sinks)"
            )
        return rule

    def _rules(self, project: Project) -> Sequence[SinkSpec]:
        return self._sinks.rules_of(project)

    def _rule(self, project: Project, name: str) -> SinkSpec:
        rules = self._rules(project)
        for rule in rules:
            if rule.name in (name, project_sink_name(project.slug, name)):
                return rule
        known = ", ".join(rule.name for rule in rules) or "none"
        raise SinkUnknown(f"the project has no sink called {name!r}; it has: {known}")


def _is_own(rule: SinkSpec, project: Project) -> bool:
    return isinstance(rule.projects, frozenset) and rule.projects <= {project.id, project.slug}


def _shown(came: Event | RefusedRequest) -> wire.TailProjectEventsResponse:
    if isinstance(came, RefusedRequest):
        return wire.TailProjectEventsResponse(refused=came)
    return wire.TailProjectEventsResponse(event=came)


def _discreet(row: delivery.SinkRow, view: SinkView, project: Project) -> delivery.SinkRow:
    """The row without what a sink that other projects share may tell of them."""
    if not _is_own(view.rule, project):
        row.last_error = ""
    return row
