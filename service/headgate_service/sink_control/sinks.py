"""The sinks as an operator sees them, and stops and starts them."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from headgate_service.delivery.books import Books, Ledger
from headgate_service.directory.project import Project
from headgate_service.errors import SinkUnknown, TestUnanswered
from headgate_service.model.sink import SinkSpec
from headgate_service.project_sinks.serving import ActiveProjectSinks, is_project_sink
from headgate_service.redis.keys import PAUSED_SINKS, SINK_TESTS, shard_keys, sink_status, sink_test_answer
from headgate_service.redis.pipeline import RedisPipeline

ANSWER_SECONDS = 12.0
_LOOK_SECONDS = 0.1


class SinkTests:
    """`make_id` makes the events' ids."""

    def __init__(
        self,
        redis: RedisPipeline,
        make_id: Callable[[], str],
        answer_seconds: float = ANSWER_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._make_id = make_id
        self._answer_seconds = answer_seconds
        self._clock = clock

    async def run(self, sink: str) -> tuple[str, str]:
        """The event's id, and why it was not delivered; empty where it was. Raises TestUnanswered, RedisUnavailable."""
        event_id = self._make_id()
        answer = sink_test_answer(event_id)
        await self._redis.execute("HSET", SINK_TESTS, event_id, f"{int(self._clock() * 1000)} {sink}")
        try:
            async with asyncio.timeout(self._answer_seconds):
                said = await self._answer(answer)
        except TimeoutError:
            await self._redis.execute("HDEL", SINK_TESTS, event_id)
            raise TestUnanswered(
                f"no forwarder has answered for the sink {sink!r} within {self._answer_seconds:g} s: look whether one "
                "runs, and into its log"
            ) from None
        return event_id, said.decode()

    async def _answer(self, key: str) -> bytes:
        while True:
            said: bytes | None = await self._redis.execute("LPOP", key)
            if said is not None:
                return said
            await asyncio.sleep(_LOOK_SECONDS)


_PROJECTS_AT_ONCE = 32
PAUSED, DISABLED = "PAUSED", "DISABLED"
PAUSED_BY_OPERATOR = "paused by an operator: `headgate sinks resume` resumes it"


@dataclass(frozen=True, slots=True)
class SinkView:
    """How a sink fares, with its books in each project. `state` is one of the forwarder's, DISABLED, or empty where no
    forwarder has run it. `held`: of projects that wait alone, by id, why; `others`: the state for the others."""

    rule: SinkSpec
    state: str
    last_error: str
    books: Sequence[tuple[Project, Books]]
    held: Mapping[str, str] = field(default_factory=dict)
    others: str = ""

    def of(self, project: Project) -> tuple[str, str]:
        """The state for a project, and the last error."""
        if project.id in self.held:
            return PAUSED, self.held[project.id]
        if self.held:
            return self.others, ""
        return self.state, self.last_error


class Sinks:
    """Every method raises RedisUnavailable, ResponseError, and DirectoryUnavailable where it is asked of a project's
    own sink. `rules` are the operator's; `project` finds a project by its slug."""

    def __init__(
        self,
        redis: RedisPipeline,
        rules: Sequence[SinkSpec],
        clock: Callable[[], float] = time.time,
        project: Callable[[str], Project | None] = lambda slug: None,
        own: ActiveProjectSinks | None = None,
    ) -> None:
        self._own = own or ActiveProjectSinks()
        self._redis = redis
        self._rules = rules
        self._clock = clock
        self._project = project
        self._ledger = Ledger(redis)

    def rule(self, name: str) -> SinkSpec:
        """Raises SinkUnknown."""
        project = self._project(name.partition("/")[0]) if is_project_sink(name) else None
        for rule in (*self._rules, *(self._own_of(project) if project else ())):
            if rule.name == name:
                return rule
        known = ", ".join(rule.name for rule in self._rules) or "none"
        raise SinkUnknown(
            f"no sink is called {name!r}; configured: {known}, and those of projects' own configs as PROJECT/NAME"
        )

    def rules_of(self, project: Project) -> Sequence[SinkSpec]:
        """Those of the sinks that serve a project."""
        return [*(rule for rule in self._rules if rule.serves(project.id, project.slug)), *self._own_of(project)]

    async def pause(self, name: str) -> None:
        """Raises SinkUnknown."""
        self.rule(name)
        await self._redis.execute("HSETNX", PAUSED_SINKS, name, int(self._clock() * 1000))

    async def resume(self, name: str) -> None:
        """Raises SinkUnknown."""
        self.rule(name)
        await self._redis.execute("HDEL", PAUSED_SINKS, name)

    async def view(self, projects: Sequence[Project]) -> list[SinkView]:
        """The operator's sinks and the projects' own, with their books in those of the projects that they serve."""
        books: dict[tuple[str, str], Books] = {}
        for first in range(0, len(projects), _PROJECTS_AT_ONCE):
            some = projects[first : first + _PROJECTS_AT_ONCE]
            for found in await asyncio.gather(*map(self._books, some)):
                books.update(((one.sink, one.project_id), one) for one in found)
        paused = {name.decode() for name in await self._redis.execute("HKEYS", PAUSED_SINKS)}
        views = []
        for rule in (*self._rules, *(rule for project in projects for rule in self._own_of(project))):
            state, error, held, others = await self._state(rule, rule.name in paused)
            served = [(one, books[rule.name, one.id]) for one in projects if (rule.name, one.id) in books]
            views.append(SinkView(rule, state, error, served, held, others))
        return views

    def _own_of(self, project: Project) -> Sequence[SinkSpec]:
        # As the control DB tells of a project, it comes without its policy.
        known = project if project.policy is not None or not project.deploy_version else self._project(project.slug)
        return self._own(known) if known is not None else ()

    async def _books(self, project: Project) -> list[Books]:
        sinks = [rule.name for rule in self.rules_of(project)]
        return await self._ledger.books(shard_keys(project.shard), project.id, sinks) if sinks else []

    async def _state(self, rule: SinkSpec, paused: bool) -> tuple[str, str, Mapping[str, str], str]:
        if not rule.enabled:
            return DISABLED, "", {}, ""
        if paused:
            return PAUSED, PAUSED_BY_OPERATOR, {}, ""
        state, error, held, others = await self._redis.execute(
            "HMGET", sink_status(rule.name), "state", "last_error", "held", "others"
        )
        texts = ((one or b"").decode() for one in (state, error, others))
        state, error, others = texts
        return state, error, msgspec.json.decode(held or b"{}", type=dict[str, str]), others
