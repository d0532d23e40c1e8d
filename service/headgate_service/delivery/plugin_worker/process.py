"""One life of a worker process, as the forwarder sees it."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog
from headgate.v1 import plugin_pb2

from headgate_service.delivery.plugin_worker.channel import FrameUnreadable, frame, read_frame
from headgate_service.delivery.plugin_worker.environment import plugin_environment
from headgate_service.delivery.plugin_worker.redaction import Redaction

_MAX_LINE = 2000
_LINES_A_SECOND = 50
_BYTES_A_SECOND = 1024 * 1024

_log = structlog.get_logger(__name__)


class PrintedLines:
    """Logs lines with the sink's name: at most 50 in a second, the first 2,000 characters of each. A plugin that
    prints more than a MiB in a second waits for its next one; the forwarder has more to do than to read it."""

    def __init__(self, sink: str, stream: str, redaction: Redaction) -> None:
        self._redaction = redaction
        self._sink = sink
        self._stream = stream
        self._rest = b""
        self._room = _LINES_A_SECOND
        self._left_out = 0

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Until the end."""
        loop = asyncio.get_running_loop()
        ends, taken = loop.time() + 1.0, 0
        while part := await reader.read(65536):
            self._take(part)
            taken += len(part)
            if taken >= _BYTES_A_SECOND:
                await asyncio.sleep(max(0.0, ends - loop.time()))
            if loop.time() >= ends:
                ends, taken = loop.time() + 1.0, 0
                self._next_second()
        if self._rest:
            self._say(self._rest)
        self._next_second()

    def _take(self, part: bytes) -> None:
        *lines, rest = (self._rest + part).split(b"\n")
        for line in lines:
            self._say(line)
        self._rest = rest[:_MAX_LINE]

    def _say(self, line: bytes) -> None:
        if self._room == 0:
            self._left_out += 1
            return
        self._room -= 1
        text = self._redaction.hide(line[:_MAX_LINE].decode("utf-8", "backslashreplace").rstrip())
        if text:
            _log.info("plugin printed", sink=self._sink, stream=self._stream, line=text)

    def _next_second(self) -> None:
        if self._left_out:
            _log.warning("plugin printed too much", sink=self._sink, stream=self._stream, left_out=self._left_out)
        self._room, self._left_out = _LINES_A_SECOND, 0


# -P: a module in the folder that the forwarder runs in must not take the place of one of ours.
COMMAND = (sys.executable, "-P", "-m", "headgate_service.delivery.plugin_worker")
# How far behind what serves clients a process is while it loads; when it has, it goes further back by itself. It is not
# left to it from the start: a third of a second of work, each time that it is started, would be over by then.
_STEPS_BACK = 10
_LAST = 19
_LOOK_SECONDS = 1.0
_END_SECONDS = 2.0
# What may wait for a process to read it, beside what it was asked.
_MAX_TOLD_BYTES = 1024 * 1024
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class WorkerEnded(Exception):
    """The process is gone, or is about to be; the message says why. `crashed`: of itself, while it had this call."""

    def __init__(self, why: str, crashed: bool = False) -> None:
        super().__init__(why)
        self.crashed = crashed


class WorkerProcess:
    """A running worker. `memory`: bytes that it may use; None: as many as it likes. `silence`: it is killed when its
    event loop has not run for so many seconds."""

    def __init__(
        self,
        sink: str,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        memory: int | None,
        silence: float,
        redaction: Redaction,
    ) -> None:
        self._redaction = redaction
        self._sink = sink
        self._process = process
        self._reader = reader
        self._writer = writer
        self._memory = memory
        self._longest_silence = silence
        self._silence: float | None = None
        self._calls: dict[int, asyncio.Future[plugin_pb2.PluginAnswer]] = {}
        self._last_id = 0
        self._why = ""
        self._crashed = True

    @classmethod
    async def start(
        cls,
        sink: str,
        memory: int | None,
        silence: float,
        passed: Sequence[str] = (),
        redaction: Redaction | None = None,
    ) -> "WorkerProcess":
        """`passed`: environment variables that it gets beside those that it needs. Raises OSError where no process can
        be started."""
        own, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *COMMAND,
                    # Only for those who look at the list of processes.
                    sink,
                    stdin=theirs.fileno(),
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    env=plugin_environment(os.environ, passed),
                    # What the plugin starts itself is ended with it.
                    start_new_session=True,
                )
            except BaseException:
                own.close()
                raise
        step_back(process.pid)
        reader, writer = await asyncio.open_connection(sock=own)
        return cls(sink, process, reader, writer, memory, silence, redaction or Redaction())

    @property
    def pid(self) -> int:
        return self._process.pid

    async def run(self) -> str:
        """Until the process has ended; how it did, in words. A call under way raises WorkerEnded then. Cancelled, it
        kills the process."""
        process = self._process
        assert process.stdout is not None  # noqa: S101 (it was started with pipes)
        assert process.stderr is not None  # noqa: S101
        helpers = [
            asyncio.create_task(PrintedLines(self._sink, "stdout", self._redaction).read(process.stdout)),
            asyncio.create_task(PrintedLines(self._sink, "stderr", self._redaction).read(process.stderr)),
        ]
        watching = asyncio.create_task(self._watch())
        answering = asyncio.create_task(self._take_answers())
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait([answering, ended], return_when=asyncio.FIRST_COMPLETED)
            # What it said at last is worth having, but a child of its own may hold its pipes.
            await asyncio.wait([ended, answering, *helpers], timeout=_END_SECONDS)
        finally:
            self._kill()
            for task in (watching, answering, *helpers):
                task.cancel()
            self._writer.close()
            await asyncio.gather(watching, answering, *helpers, ended, return_exceptions=True)
            why = self._why or f"the sink's process ended by {_status(process.returncode)}"
            for call in self._calls.values():
                if not call.done():
                    call.set_exception(WorkerEnded(why, self._crashed))
        return why

    async def call(self, request: plugin_pb2.PluginRequest, seconds: float) -> plugin_pb2.PluginAnswer:
        """The answer. A process that gives none within so many seconds is killed; one whose call is cancelled gives it
        up first, or is killed too. Raises WorkerEnded."""
        if self._why or self._process.returncode is not None:
            raise WorkerEnded(self._why or "the sink's process has ended")
        self._last_id += 1
        request.id = number = self._last_id
        answered = self._calls[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(frame(request))
            async with asyncio.timeout(seconds):
                return await asyncio.shield(answered)
        except TimeoutError:
            why = f"the sink did not finish within {seconds:g} s: its process was ended"
            self.end(why, crashed=False)
            raise WorkerEnded(why) from None
        except asyncio.CancelledError:
            await self._give_up(number, answered)
            raise
        finally:
            self._calls.pop(number, None)
            if not answered.done():
                answered.cancel()
            elif not answered.cancelled():
                # Whoever waited may be gone: an exception that nobody reads is not news.
                answered.exception()

    def tell(self, request: plugin_pb2.PluginRequest) -> None:
        """What needs no answer. It is left out where much is waiting to be read."""
        if self._writer.transport.get_write_buffer_size() < _MAX_TOLD_BYTES and not self._writer.is_closing():
            self._writer.write(frame(request))

    def end(self, why: str, crashed: bool = True) -> None:
        """Kills it. `crashed`: for what it does, rather than for what it waits for."""
        if not self._why and self._process.returncode is None:
            self._why, self._crashed = why, crashed
            _log.error("plugin's process is killed", sink=self._sink, pid=self.pid, reason=why)
        self._kill()

    async def close(self, seconds: float) -> None:
        """Lets it end in order, in about twice so long at most."""
        with contextlib.suppress(WorkerEnded):
            await self.call(plugin_pb2.PluginRequest(close=plugin_pb2.PluginClose()), seconds)
        self._writer.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._process.wait()

    async def _give_up(self, number: int, answered: "asyncio.Future[plugin_pb2.PluginAnswer]") -> None:
        cancel = plugin_pb2.PluginCancel(id=number)
        self._writer.write(frame(plugin_pb2.PluginRequest(cancel=cancel)))
        done, _ = await asyncio.wait([answered], timeout=_END_SECONDS)
        if not done:
            self.end("the sink went on with a write that was given up: its process was ended", crashed=False)

    async def _take_answers(self) -> None:
        try:
            while (content := await read_frame(self._reader)) is not None:
                answer = plugin_pb2.PluginAnswer.FromString(content)
                self._redaction.clean(answer)
                self._silence = 0.0
                call = self._calls.get(answer.id)
                if call is not None and not call.done():
                    call.set_result(answer)
        # What cannot be read comes from memory that the plugin has spoilt.
        except (FrameUnreadable, ValueError) as error:
            self.end(f"the sink's process sent what cannot be read ({error}): it was ended")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            # Looks are counted, not time: where this process was stopped, the other one may have answered.
            if self._silence is not None:
                self._silence += _LOOK_SECONDS
                if self._silence > self._longest_silence:
                    self.end(
                        f"the sink's event loop did not run for {self._longest_silence:g} s: its process was ended; "
                        "a sink whose client blocks must be a SyncSink"
                    )
            used = resident_bytes(self.pid)
            if self._memory is not None and used > self._memory:
                self.end(
                    f"the sink used {used >> 20} MiB, more than its `memory` of {self._memory >> 20} MiB: "
                    "its process was ended"
                )

    def _kill(self) -> None:
        # The whole group: a child of a process that is gone already may run on.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def step_back(pid: int) -> None:
    """Lets a process that was just started wait, where there is more to do than the machine can."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, min(os.getpriority(os.PRIO_PROCESS, 0) + _STEPS_BACK, _LAST))


def resident_bytes(pid: int) -> int:
    """The memory that a process holds; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _status(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit status {code}"
