"""A third-party sink in a process of its own, started again whenever it ends."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
from headgate.v1 import plugin_pb2
from headgate_sinks import Batch, Limits, Misconfigured, Outcome, Retry, Spec
from headgate_sinks.host import Broken

from headgate_service.delivery.backoff import Backoff
from headgate_service.delivery.config import SinkConfig
from headgate_service.delivery.plugin_worker.messages import described, outcome_of, write_of
from headgate_service.delivery.plugin_worker.process import WorkerEnded, WorkerProcess, without_own

OPEN_SECONDS = 60.0
_CLOSE_SECONDS = 5.0
# A life of this length wipes out the failures before it.
_STABLE_SECONDS = 60.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Isolation:
    """What all workers have in common.

    `plugins` are loaded beside the sink's, for their secrets. `load`: seconds that a plugin may take to load;
    `silence`: seconds for which its event loop may stand still; `backoff`: how long to wait before a process is started
    again.
    """

    data_dir: Path
    environment: Mapping[str, str]
    plugins: tuple[str, ...]
    load: float
    silence: float
    backoff: Backoff


class IsolatedSink:
    """What the forwarder has of the sink. `known` is set once the plugin was loaded; only then `spec` and `limits` are
    the sink's own."""

    def __init__(self, config: SinkConfig, isolation: Isolation) -> None:
        self._config = config
        self._isolation = isolation
        self._on_broken: Callable[[Broken | None], None] = lambda broken: None
        self._worker: WorkerProcess | None = None
        self._opened = False
        self._opening = asyncio.Lock()
        self._why = "it is being started"
        self._unusable = False
        self._next_start = 0.0
        self._supervising: asyncio.Task[None] | None = None
        self.known = asyncio.Event()
        self.spec = Spec()
        self.limits = Limits()

    def start(self, on_broken: Callable[[Broken | None], None]) -> None:
        """`on_broken` is told why the plugin cannot be used, and None when it can again."""
        self._on_broken = on_broken
        self._supervising = asyncio.create_task(self._supervise(), name=f"sink-{self._config.name}")

    async def write(self, batch: Batch) -> Outcome:
        """Never raises but when cancelled."""
        worker = self._worker
        if worker is None:
            return self._trouble()
        try:
            outcome = await self._open(worker)
            if outcome is None:
                request = plugin_pb2.PluginRequest(write=write_of(batch))
                outcome = outcome_of((await worker.call(request, self.spec.write_seconds)).outcome)
        except WorkerEnded as error:
            return Retry(str(error))
        return outcome

    async def check(self) -> Outcome:
        """Never raises but when cancelled."""
        worker = self._worker
        if worker is None:
            return self._trouble()
        request = plugin_pb2.PluginRequest(check=plugin_pb2.PluginCheck())
        try:
            return outcome_of((await worker.call(request, OPEN_SECONDS)).outcome)
        except WorkerEnded as error:
            return Retry(str(error))

    async def close(self) -> None:
        """Ends the process, in order where it can."""
        if self._supervising is None:
            return
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close(_CLOSE_SECONDS)
            await asyncio.wait([self._supervising], timeout=_CLOSE_SECONDS)
        self._supervising.cancel()
        await asyncio.gather(self._supervising, return_exceptions=True)

    async def _open(self, worker: WorkerProcess) -> Outcome | None:
        """None where it is open."""
        async with self._opening:
            if worker is not self._worker:
                raise WorkerEnded("the sink's process has ended")
            if not self._opened:
                request = plugin_pb2.PluginRequest(open=plugin_pb2.PluginOpen())
                outcome = outcome_of((await worker.call(request, OPEN_SECONDS)).outcome)
                if isinstance(outcome, Exception):
                    return outcome
                self._opened = True
        return None

    def _trouble(self) -> Outcome:
        if self._unusable:
            return Misconfigured(self._why)
        # Starting it takes a while as well.
        wait = self._next_start - asyncio.get_running_loop().time()
        return Retry(self._why, after=max(wait, 0.0) + 0.5)

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
                _log.error("plugin's process ended", sink=self._config.name, reason=why, wait_seconds=round(wait, 2))
            else:
                self._on_broken(broken)
            await asyncio.sleep(wait)

    async def _live(self) -> tuple[str, Broken | None]:
        """Runs one process until it has ended; how it did, and what is wrong with the plugin where that is why."""
        config, isolation = self._config, self._isolation
        worker = await WorkerProcess.start(config.name, config.memory, isolation.silence)
        running = asyncio.create_task(worker.run())
        try:
            answer = await worker.call(plugin_pb2.PluginRequest(setup=self._setup()), isolation.load)
            if answer.WhichOneof("answer") == "broken":
                broken = Broken(config.use, answer.broken.reason, answer.broken.details)
                return broken.reason, broken
            self.spec, self.limits = described(answer.description)
            self._opened, self._worker = False, worker
            self._on_broken(None)
            self.known.set()
            return await running, None
        except WorkerEnded as error:
            reason = f"the plugin of the sink {config.use!r} could not be loaded: {error}"
            return reason, Broken(config.use, reason)
        finally:
            if self._worker is worker:
                self._worker = None
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _setup(self) -> plugin_pb2.PluginSetup:
        config, isolation = self._config, self._isolation
        return plugin_pb2.PluginSetup(
            use=config.use,
            name=config.name,
            # What TOML knows and JSON does not, dates, is read from text as well.
            config_json=json.dumps(config.settings, default=str),
            data_dir=str(isolation.data_dir),
            environment=without_own(isolation.environment),
            memory=config.memory or 0,
            plugins=isolation.plugins,
        )
