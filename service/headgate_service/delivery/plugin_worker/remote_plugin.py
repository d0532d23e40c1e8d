"""The hooks of a third-party plugin, which are called in its own process."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from headgate.v1 import plugin_pb2
from headgate_sinks import SecretMissing
from headgate_sinks.sdk.host import Broken

from headgate_service.delivery.attempt import cut
from headgate_service.delivery.plugin_worker.environment import plugin_environment
from headgate_service.delivery.plugin_worker.isolated_sink import IsolatedSink
from headgate_service.delivery.plugin_worker.process import WorkerEnded
from headgate_service.delivery.plugin_worker.supervised_worker import Isolation, SupervisedWorker

_RESOLVE_SECONDS = 30.0
_MEMORY = 512 * 1024 * 1024

_log = structlog.get_logger(__name__)


class RemotePlugin:
    """Stands for a plugin of the SDK where hooks are called, from any thread but that of the event loop, which makes
    it."""

    def __init__(self, name: str, worker: SupervisedWorker) -> None:
        self.name = name
        self._worker = worker
        self._loop = asyncio.get_running_loop()

    @property
    def hook(self) -> "RemotePlugin":
        return self

    def implements(self, hook: str) -> bool:
        return hook in self._worker.description.hooks

    def headgate_batch_settled(self, **arguments: Any) -> None:
        self._tell(plugin_pb2.PluginObserve(batch_settled=plugin_pb2.BatchSettled(**arguments)))

    def headgate_sink_state_changed(self, **arguments: Any) -> None:
        self._tell(plugin_pb2.PluginObserve(sink_state_changed=plugin_pb2.SinkStateChanged(**arguments)))

    def headgate_resolve_secret(self, reference: str) -> str | None:
        """Raises SecretMissing."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run_coroutine_threadsafe(self._resolve(reference), self._loop).result()
        raise SecretMissing(f"the secret {reference!r} is a plugin's, for whom a sink must wait in a thread")

    async def _resolve(self, reference: str) -> str | None:
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                await self._worker.known.wait()
            if "headgate_resolve_secret" not in self._worker.description.hooks:
                return None
            if self._worker.process is None:
                raise WorkerEnded("its process is not running")
            request = plugin_pb2.PluginRequest(resolve=plugin_pb2.PluginResolve(reference=reference))
            secret = (await self._worker.process.call(request, _RESOLVE_SECONDS)).secret
        except (TimeoutError, WorkerEnded) as error:
            reason = str(error) or "it does not load"
            raise SecretMissing(f"the plugin {self.name!r} was not there to resolve a secret: {reason}") from None
        if secret.missing:
            raise SecretMissing(cut(secret.missing))
        return secret.value if secret.HasField("value") else None

    def _tell(self, what: plugin_pb2.PluginObserve) -> None:
        self._loop.call_soon_threadsafe(self._send, plugin_pb2.PluginRequest(observe=what))

    def _send(self, request: plugin_pb2.PluginRequest) -> None:
        if self._worker.process is not None:
            self._worker.process.tell(request)


def sink_plugins(sinks: Iterable[IsolatedSink]) -> list[RemotePlugin]:
    """The plugins of these sinks, each once: of several sinks of one kind, the first one's process has the hooks."""
    found: dict[str, RemotePlugin] = {}
    for sink in sinks:
        found.setdefault(sink.use, RemotePlugin(sink.use, sink.worker))
    return list(found.values())


class HookWorkers:
    """The processes of plugins that are loaded only for their hooks."""

    def __init__(self, names: Sequence[str], isolation: Isolation) -> None:
        self._workers = [
            SupervisedWorker(
                plugin_pb2.PluginSetup(
                    use=name,
                    name=name,
                    data_dir=str(isolation.data_dir),
                    environment=plugin_environment(isolation.environment, isolation.passed),
                    memory=_MEMORY,
                    hooks_only=True,
                ),
                isolation,
            )
            for name in names
        ]
        self.plugins = [RemotePlugin(worker.name, worker) for worker in self._workers]

    def start(self) -> None:
        for worker in self._workers:
            worker.start(_Said(worker.name).broken)

    async def close(self) -> None:
        await asyncio.gather(*(worker.close() for worker in self._workers))


class _Said:
    def __init__(self, name: str) -> None:
        self._name = name
        self._last: Broken | None = None

    def broken(self, broken: Broken | None) -> None:
        if broken is not None and broken != self._last:
            _log.error("plugin is broken", plugin=self._name, reason=broken.reason, details=broken.details)
        self._last = broken
