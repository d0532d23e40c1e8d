"""What is running: started where a row first needs it, and ended with the run."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Protocol, TypeVar

from bench.cores import Cores
from bench.grpc_load import GrpcLoad
from bench.http_load import HttpLoad
from bench.pace import DRAIN_SECONDS, Measured
from bench.row import Void


class Stoppable(Protocol):
    """Something that runs until it is stopped."""

    def stop(self) -> None:
        """Ends it."""


S = TypeVar("S", bound=Stoppable)


@dataclass
class Stage:
    """The cores, the seconds that one load lasts, and the servers that run."""

    cores: Cores
    seconds: float
    _running: dict[str, Stoppable] = field(default_factory=dict)
    _ends: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def running(self, name: str, kind: type[S], start: Callable[[], S]) -> S:
        """The server of that name, started now where it does not run yet."""
        if name not in self._running:
            self._running[name] = self._ends.enter_context(_stopped(start()))
        found = self._running[name]
        assert isinstance(found, kind)
        return found

    def load(self, load: HttpLoad | GrpcLoad) -> Measured:
        """Runs a load in a process of its own. Raises Void where an answer was no success."""
        module = "bench.http_load" if isinstance(load, HttpLoad) else "bench.grpc_load"
        done = subprocess.run(
            self.cores.loading([sys.executable, "-m", module]),
            input=json.dumps(asdict(load)),
            capture_output=True,
            text=True,
            timeout=load.seconds + DRAIN_SECONDS + 60,
        )
        if done.returncode:
            raise Void(f"the load failed: {done.stderr.strip().rpartition(chr(10))[2]}")
        measured = Measured(**json.loads(done.stdout))
        if set(measured.statuses) - {"200", "OK"}:
            raise Void(f"not every answer was a success: {measured.statuses}")
        if not measured.per_second:
            raise Void(f"nothing was answered in time: {measured.statuses}")
        return measured

    def close(self) -> None:
        """Ends everything."""
        self._ends.close()


@contextlib.contextmanager
def _stopped(server: S) -> Iterator[S]:
    try:
        yield server
    finally:
        server.stop()
