"""A plugin's process that is started again whenever it ends."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
from headgate.v1 import plugin_pb2
from headgate_sinks import Misconfigured, Outcome, Retry, WhenFull
from headgate_sinks.sdk.host import Broken

from headgate_service.delivery.attempt import bounded
from headgate_service.delivery.backoff import Backoff
from headgate_service.delivery.plugin_worker.process import WorkerEnded, WorkerProcess
from headgate_service.delivery.plugin_worker.redaction import Redaction

_CLOSE_SECONDS = 5.0
# A life of this length wipes out the failures before it.
_STABLE_SECONDS = 60.0
_WHEN_FULL: dict[str, WhenFull] = {"refuse": "refuse", "expire": "expire"}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Isolation:
    """What all workers have in common.

    `plugins` are those that may know a secret, beside the sink's own. `passed` are environment variables that they get
    beside those that a program needs. `load`: seconds that a plugin may take to load;
    `silence`: seconds for which its event loop may stand still; `backoff`: how long to wait before a process is started
    again.
    """

    data_dir: Path
    environment: Mapping[str, str]
    plugins: tuple[str, ...]
    load: float
    silence: float
    backoff: Backoff
    passed: tuple[str, ...] = ()


class SupervisedWorker:
    """Runs from `start` to `close`. `known` is set once the plugin was loaded; `description` is then what it said of
    itself, and `process` the one that runs, if any does. `when_full` is what its kind says where no sink can be made.
    """

    def __init__(self, setup: plugin_pb2.PluginSetup, isolation: Isolation) -> None:
        self.name = setup.name
        self._setup = setup
        self._isolation = isolation
        self._on_broken: Callable[[Broken | None], None] = lambda broken: None
        self._why = "it is being started"
        self._unusable = False
        self._next_start = 0.0
        self._supervising: asyncio.Task[None] | None = None
        self.known = asyncio.Event()
        self.description = plugin_pb2.SinkDescription()
        self.when_full: WhenFull | None = None
        self.process: WorkerProcess | None = None

    def start(self, on_broken: Callable[[Broken | None], None]) -> None:
        """`on_broken` is told why the plugin cannot be used, and None when it can again."""
        self._on_broken = on_broken
        self._supervising = asyncio.create_task(self._supervise(), name=f"worker-{self.name}")

    def trouble(self) -> Outcome:
        """Why no process runs, and when there will be one."""
        if self._unusable:
            return Misconfigured(self._why)
        # Starting it takes a while as well.
        wait = self._next_start - asyncio.get_running_loop().time()
        return Retry(self._why, after=max(wait, 0.0) + 0.5)

    async def close(self) -> None:
        """Ends the process, in order where it can."""
        if self._supervising is None:
            return
        process, self.process = self.process, None
        if process is not None:
            await process.close(_CLOSE_SECONDS)
        self._supervising.cancel()
        await asyncio.gather(self._supervising, return_exceptions=True)

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started = loop.time()
            try:
                why, broken = await self._live()
            except OSError as error:
                why, broken = f"the sink's process cannot be started: {error}", None
            failures = 1 if loop.time() - started > _STABLE_SECONDS else failures + 1
            wait = self._isolation.backoff.seconds(failures)
            self._why, self._unusable, self._next_start = why, broken is not None, loop.time() + wait
            if broken is None:
                _log.error("plugin's process ended", sink=self.name, reason=why, wait_seconds=round(wait, 2))
            else:
                self._on_broken(broken)
            await asyncio.sleep(wait)

    async def _live(self) -> tuple[str, Broken | None]:
        """Runs one process until it has ended; how it did, and what is wrong with the plugin where that is why."""
        use = self._setup.use
        setup, isolation = self._setup, self._isolation
        redaction = Redaction(json.loads(setup.config_json or "{}"), setup.environment)
        process = await WorkerProcess.start(
            self.name, setup.memory or None, isolation.silence, isolation.passed, redaction
        )
        running = asyncio.create_task(process.run())
        try:
            answer = await process.call(plugin_pb2.PluginRequest(setup=self._setup), self._isolation.load)
            if answer.WhichOneof("answer") == "broken":
                self.when_full = _WHEN_FULL.get(answer.broken.when_full)
                broken = bounded(Broken(use, answer.broken.reason, answer.broken.details))
                return broken.reason, broken
            self.description, self.process = answer.description, process
            self._on_broken(None)
            self.known.set()
            return await running, None
        except WorkerEnded as error:
            reason = f"the plugin of the sink {use!r} could not be loaded: {error}"
            return reason, Broken(use, reason)
        finally:
            if self.process is process:
                self.process = None
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
