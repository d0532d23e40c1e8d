"""A third-party sink, in a process of its own."""

import asyncio
import json
from collections.abc import Callable

from headgate.v1 import plugin_pb2
from headgate_sinks import Batch, Limits, Outcome, Retry, Spec, WhenFull
from headgate_sinks.sdk.host import Broken

from headgate_service.delivery.attempt import Crashed
from headgate_service.delivery.plugin_worker.channel import described, outcome_of, write_of
from headgate_service.delivery.plugin_worker.environment import named_in, plugin_environment
from headgate_service.delivery.plugin_worker.process import WorkerEnded, WorkerProcess
from headgate_service.delivery.plugin_worker.supervised_worker import Isolation, SupervisedWorker
from headgate_service.model.sink import SinkSpec

OPEN_SECONDS = 60.0


class IsolatedSink:
    """What the forwarder has of the sink. `known` is set once the plugin was loaded; only then `spec` and `limits` are
    the sink's own."""

    def __init__(self, config: SinkSpec, isolation: Isolation) -> None:
        self.use = config.use
        self.worker = SupervisedWorker(_setup(config, isolation), isolation)
        self.known = self.worker.known
        self._opened: WorkerProcess | None = None
        self._opening = asyncio.Lock()

    @property
    def spec(self) -> Spec:
        return described(self.worker.description)[0] if self.known.is_set() else Spec()

    @property
    def limits(self) -> Limits:
        return described(self.worker.description)[1] if self.known.is_set() else Limits()

    @property
    def when_full(self) -> WhenFull | None:
        """None: it is not known."""
        return self.spec.when_full if self.known.is_set() else self.worker.when_full

    def start(self, on_broken: Callable[[Broken | None], None]) -> None:
        """`on_broken` is told why the plugin cannot be used, and None when it can again."""
        self.worker.start(on_broken)

    async def write(self, batch: Batch) -> Outcome:
        """Never raises but when cancelled."""
        process = self.worker.process
        if process is None:
            return self.worker.trouble()
        try:
            outcome = await self._open(process)
        except WorkerEnded as error:
            return Retry(str(error))
        if outcome is not None:
            return outcome
        try:
            request = plugin_pb2.PluginRequest(write=write_of(batch))
            return outcome_of((await process.call(request, self.spec.write_seconds)).outcome)
        except WorkerEnded as error:
            return Crashed(str(error)) if error.crashed else Retry(str(error))

    async def check(self) -> Outcome:
        """Never raises but when cancelled."""
        process = self.worker.process
        if process is None:
            return self.worker.trouble()
        request = plugin_pb2.PluginRequest(check=plugin_pb2.PluginCheck())
        try:
            return outcome_of((await process.call(request, OPEN_SECONDS)).outcome)
        except WorkerEnded as error:
            return Retry(str(error))

    async def close(self) -> None:
        """Ends the process, in order where it can."""
        await self.worker.close()

    async def _open(self, process: WorkerProcess) -> Outcome | None:
        """None where it is open in this process."""
        async with self._opening:
            if self._opened is not process:
                request = plugin_pb2.PluginRequest(open=plugin_pb2.PluginOpen())
                outcome = outcome_of((await process.call(request, OPEN_SECONDS)).outcome)
                if isinstance(outcome, Exception):
                    return outcome
                self._opened = process
        return None


def _setup(config: SinkSpec, isolation: Isolation) -> plugin_pb2.PluginSetup:
    return plugin_pb2.PluginSetup(
        use=config.use,
        name=config.name,
        # What TOML knows and JSON does not, dates, is read from text as well.
        config_json=json.dumps(config.settings, default=str),
        data_dir=str(isolation.data_dir),
        environment=plugin_environment(isolation.environment, isolation.passed, named_in(config.settings)),
        memory=config.memory or 0,
        plugins=isolation.plugins,
    )
