"""Tells plugins what happened, beside delivery."""

import traceback
from collections.abc import Sequence
from queue import Full, Queue
from threading import Thread
from typing import Any

import structlog
from headgate_sinks.sdk.host import Hooked

MAX_WAITING = 10_000

_log = structlog.get_logger(__name__)


class Observers:
    """Calls the plugins' hooks in order, from a thread of its own. Nothing here waits for a plugin but `close`."""

    def __init__(self, plugins: Sequence[Hooked] = (), most_waiting: int = MAX_WAITING) -> None:
        self._plugins = plugins
        self._waiting: Queue[tuple[str, dict[str, Any]] | None] = Queue(most_waiting)
        self._thread: Thread | None = None
        self._left_out = 0
        self._failures: dict[tuple[str, str], int] = {}

    def batch_settled(self, *, sink: str, batch_id: str, delivered: int, dead: int, attempts: int) -> None:
        self._tell(
            "headgate_batch_settled",
            {"sink": sink, "batch_id": batch_id, "delivered": delivered, "dead": dead, "attempts": attempts},
        )

    def sink_state_changed(self, *, sink: str, state: str, previous: str, error: str) -> None:
        self._tell("headgate_sink_state_changed", {"sink": sink, "state": state, "previous": previous, "error": error})

    def close(self, seconds: float) -> None:
        """Waits at most so long until all has been told."""
        if self._thread is not None:
            try:
                self._waiting.put(None, timeout=seconds)
            except Full:
                return
            self._thread.join(seconds)

    def _tell(self, hook: str, arguments: dict[str, Any]) -> None:
        if not any(plugin.implements(hook) for plugin in self._plugins):
            return
        if self._thread is None:
            # Its end is waited for in `close`, but a plugin that hangs does not keep the process.
            self._thread = Thread(target=self._run, name="observers", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait((hook, arguments))
        except Full:
            self._left_out += 1
            if _is_power_of_two(self._left_out):
                _log.warning("plugins observe too slowly: calls are left out", hook=hook, left_out=self._left_out)

    def _run(self) -> None:
        while (told := self._waiting.get()) is not None:
            hook, arguments = told
            for plugin in self._plugins:
                try:
                    getattr(plugin.hook, hook)(**arguments)
                # A stranger's code, which may fail in any way; the next plugin is told all the same.
                except BaseException:  # noqa: BLE001
                    self._failed(plugin.name, hook, traceback.format_exc())

    def _failed(self, plugin: str, hook: str, details: str) -> None:
        count = self._failures[plugin, hook] = self._failures.get((plugin, hook), 0) + 1
        if _is_power_of_two(count):
            _log.error("a plugin's hook failed", plugin=plugin, hook=hook, times=count, details=details)


def _is_power_of_two(count: int) -> bool:
    return count & (count - 1) == 0
