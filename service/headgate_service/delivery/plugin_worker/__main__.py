"""The process of one third-party sink. Its standard input is the pipe to the forwarder; what the plugin prints is the
forwarder's to log."""

import asyncio
import contextlib
import ctypes
import faulthandler
import json
import logging
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headgate.v1 import plugin_pb2
from headgate_sinks import Batch, Outcome, Place, Result, SecretMissing, Sink
from headgate_sinks.sdk.host import HOOKS, Broken, Loaded, load
from headgate_sinks.sdk.secret import read_secret
from pydantic import BaseModel, SecretStr

from headgate_service.delivery.attempt import attempt, checked, make_sink
from headgate_service.delivery.observers import Observers
from headgate_service.delivery.plugin_worker.channel import (
    batch_of,
    description_of,
    frame,
    outcome_message,
    read_frame,
    receive_frame,
)

BEAT_SECONDS = 1.0
# Behind everything that serves clients, when there is more to do than the machine can; but a plugin that is being
# loaded has a deadline, and must get there on a busy machine: until then it is only as far back as it was started.
_LAST = 19
_ORPHAN_SECONDS = 5.0
_CLOSE_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1


def main() -> None:
    channel = _take_channel()
    _end_with_parent(channel)
    _say_what_is_printed()
    content = receive_frame(channel)
    if content is None:
        return
    request = plugin_pb2.PluginRequest.FromString(content)
    setup = request.setup
    _behave(setup.memory)
    loaded = load(() if setup.hooks_only else (setup.use,), plugins=(setup.use,) if setup.hooks_only else ())
    given = Given()
    answer, sink = _made(setup, loaded, given)
    answer.id = request.id
    given.put_into(answer)
    channel.sendall(frame(answer))
    if answer.WhichOneof("answer") == "description" and not setup.kind_only:
        os.nice(_LAST)
        asyncio.run(Worker(sink or _NoSink(), loaded, given).serve(channel))


class Given:
    """The secrets that the plugin was given and the forwarder has not heard of."""

    def __init__(self) -> None:
        self._secrets: list[str] = []
        self._references: list[str] = []

    def add(self, secret: str) -> None:
        self._secrets.append(secret)

    def refer(self, reference: str) -> None:
        """A text leads to a secret, and is none."""
        self._references.append(reference)

    def put_into(self, answer: plugin_pb2.PluginAnswer) -> None:
        secrets, self._secrets = self._secrets, []
        references, self._references = self._references, []
        answer.secrets.extend(secrets)
        answer.references.extend(references)


class Worker:
    """Answers the forwarder's requests with a sink and its plugin's hooks, each in a task of its own, until the
    forwarder is gone."""

    def __init__(self, sink: Sink[Any], loaded: Loaded, given: Given) -> None:
        self._sink = sink
        self._given = given
        self._loaded = loaded
        self._observers = Observers(loaded.plugins)
        self._opened = False
        self._running: dict[int, asyncio.Task[None]] = {}

    async def serve(self, channel: socket.socket) -> None:
        reader, self._writer = await asyncio.open_connection(sock=channel)
        beating = asyncio.create_task(self._beat())
        while (content := await read_frame(reader)) is not None:
            self._take(plugin_pb2.PluginRequest.FromString(content))
        for task in (beating, *self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        if self._opened:
            await attempt(self._sink.close(), _CLOSE_SECONDS)
        await asyncio.to_thread(self._observers.close, _CLOSE_SECONDS)

    def _take(self, request: plugin_pb2.PluginRequest) -> None:
        match request.WhichOneof("call"):
            case "cancel":
                if task := self._running.get(request.cancel.id):
                    task.cancel()
            case "observe":
                self._observe(request.observe)
            case _:
                task = self._running[request.id] = asyncio.create_task(self._answer(request))
                task.add_done_callback(lambda _: self._running.pop(request.id, None))

    def _observe(self, observe: plugin_pb2.PluginObserve) -> None:
        match observe.WhichOneof("what"):
            case "batch_settled":
                done = observe.batch_settled
                self._observers.batch_settled(
                    sink=done.sink,
                    batch_id=done.batch_id,
                    delivered=done.delivered,
                    dead=done.dead,
                    attempts=done.attempts,
                )
            case "sink_state_changed":
                new = observe.sink_state_changed
                self._observers.sink_state_changed(
                    sink=new.sink, state=new.state, previous=new.previous, error=new.error
                )

    async def _answer(self, request: plugin_pb2.PluginRequest) -> None:
        answer = plugin_pb2.PluginAnswer(id=request.id, outcome=plugin_pb2.SinkOutcome())
        try:
            if request.WhichOneof("call") == "resolve":
                secret = await asyncio.to_thread(self._resolve, request.resolve.reference)
                answer = plugin_pb2.PluginAnswer(id=request.id, secret=secret)
            else:
                answer = plugin_pb2.PluginAnswer(id=request.id, outcome=await self._outcome(request))
        finally:
            self._given.put_into(answer)
            # A call that was given up is answered too: it is over now.
            self._writer.write(frame(answer))

    def _resolve(self, reference: str) -> plugin_pb2.PluginSecret:
        try:
            return plugin_pb2.PluginSecret(value=self._loaded.resolve_secret(reference))
        except SecretMissing as error:
            return plugin_pb2.PluginSecret(missing=str(error) or "the plugin has no secret for this reference")

    async def _outcome(self, request: plugin_pb2.PluginRequest) -> plugin_pb2.SinkOutcome:
        events = 0
        match request.WhichOneof("call"):
            case "open":
                found = await attempt(self._open(), None)
            case "check":
                found = await attempt(self._sink.check(), None)
            case "close":
                found = await attempt(self._close(), None)
            case _:
                events = len(request.write.events)
                found = checked(await attempt(self._sink.write(batch_of(request.write)), None), events)
        return outcome_message(checked(Result() if found is None else found, events))

    async def _open(self) -> None:
        await self._sink.open()
        self._opened = True

    async def _close(self) -> None:
        if self._opened:
            self._opened = False
            await self._sink.close()

    async def _beat(self) -> None:
        beat = frame(plugin_pb2.PluginAnswer(beat=plugin_pb2.PluginBeat()))
        while True:
            self._writer.write(beat)
            await asyncio.sleep(BEAT_SECONDS)


class _NoSink(Sink[Any]):
    """Where only a plugin's hooks are wanted."""

    def __init__(self) -> None:
        """It is made of nothing."""

    async def write(self, batch: Batch) -> Outcome:
        raise AssertionError("a plugin without a sink was given a batch")


def _made(
    setup: plugin_pb2.PluginSetup, loaded: Loaded, given: Given
) -> tuple[plugin_pb2.PluginAnswer, Sink[Any] | None]:
    hooks = [hook for hook in HOOKS if any(plugin.implements(hook) for plugin in loaded.plugins)]
    if setup.hooks_only and setup.use not in loaded.broken:
        return plugin_pb2.PluginAnswer(description=plugin_pb2.SinkDescription(hooks=hooks)), None
    if setup.kind_only and setup.use in loaded.sinks:
        spec = loaded.sinks[setup.use].spec
        return plugin_pb2.PluginAnswer(description=description_of(spec, spec.limits)), None

    def resolve(reference: str) -> str | None:
        try:
            secret = loaded.resolve_secret(reference)
            if secret is None and setup.plugins:
                # Another plugin is a danger to this sink as well: it is loaded only where it is needed.
                secret = load((), plugins=setup.plugins).resolve_secret(reference)
        except SecretMissing:
            given.refer(reference)
            raise
        if secret is not None:
            given.refer(reference)
            given.add(secret)
        return secret

    place = Place(setup.name, Path(setup.data_dir), time.time, dict(setup.environment), resolve)
    sink = make_sink(setup.use, json.loads(setup.config_json or "{}"), loaded, place)
    if isinstance(sink, Broken):
        broken = plugin_pb2.PluginBroken(reason=sink.reason, details=sink.details)
        if setup.use in loaded.sinks:
            broken.when_full = loaded.sinks[setup.use].spec.when_full
        return plugin_pb2.PluginAnswer(broken=broken), None
    for secret in _secrets_in(sink.config):
        with contextlib.suppress(SecretMissing):
            given.add(read_secret(secret, dict(setup.environment)))
    description = description_of(sink.spec, sink.limits)
    description.hooks.extend(hooks)
    return plugin_pb2.PluginAnswer(description=description), sink


def _secrets_in(value: Any) -> Iterator[str]:
    """The values of the SecretStr in a sink's configuration."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _secrets_in(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _secrets_in(inner)


def _take_channel() -> socket.socket:
    channel = socket.socket(fileno=os.dup(0))
    # A plugin that reads its standard input must find its end there, not the forwarder's messages.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return channel


def _end_with_parent(channel: socket.socket) -> None:
    if sys.platform == "linux":
        # A plugin that never lets go of the interpreter is ended too.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch, args=(channel.fileno(),), name="parent-watch", daemon=True).start()


def _watch(channel: int) -> None:
    poll = select.poll()
    poll.register(channel, select.POLLHUP)
    while not poll.poll():
        pass
    # Where the event loop runs, it has noticed as well and ends in order.
    time.sleep(_ORPHAN_SECONDS + _CLOSE_SECONDS)
    os._exit(1)


def _behave(memory: int) -> None:
    # What the plugin holds in memory, secrets too, is not for a file; and to write it would cost others their time.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("500")
        if memory:
            # The forwarder looks each second at what is in use; this stops what eats faster than that.
            resource.setrlimit(resource.RLIMIT_DATA, (2 * memory, 2 * memory))


def _say_what_is_printed() -> None:
    faulthandler.enable()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")


if __name__ == "__main__":
    main()
