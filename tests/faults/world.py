"""A whole Headgate under load, what it delivers to, and the faults that it suffers."""

import asyncio
import http.client
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Protocol
from urllib.parse import urlencode

import pytest

from tests.end_to_end.conftest import Headgate
from tests.end_to_end.test_kill import SECRET, answered
from tests.faults.family import family, freeze, send
from tests.faults.load import Load
from tests.faults.oracle import Delivered, Oracle
from tests.faults.target import FaultyTarget

# A run that had less to lose says nothing.
LEAST_ACKNOWLEDGED = 3000
# So many more must be acknowledged after each fault.
FLOWING = 100
RECOVERY_SECONDS = 90.0
SETTLING_SECONDS = 180.0
TOML = """
[limits]
rate = "1000000/60s"
{settings}
[[sinks]]
name = "webhook"
use = "webhook"
when_full = "refuse"
[sinks.config]
url = "{url}"
secret = "{secret}"
"""


class Fault(Protocol):
    """Something that goes wrong. It is over when `strike` returns, but that something may have to be started again."""

    async def strike(self, world: "World") -> None: ...


@dataclass
class LoggedHeadgate(Headgate):
    """Its log is not in its data directory, which may be full, or lost."""

    store: bool = False

    @property
    def log_file(self) -> Path:
        assert self.config is not None
        return self.config.with_name("up.log")

    @property
    def sinks(self) -> tuple[str, ...]:
        return ("jsonl", "store", "webhook") if self.store else ("jsonl", "webhook")


@dataclass
class World:
    headgate: LoggedHeadgate
    target: FaultyTarget
    oracle: Oracle
    load: Load
    random: Random
    suffered: list[str] = field(default_factory=list)
    _load_task: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def make(
        cls,
        folder: Path,
        seed: int,
        *,
        data_dir: Path | None = None,
        store: bool = False,
        settings: str = "",
        text_bytes: int = 0,
    ) -> "AsyncIterator[World]":
        """Not started yet; `settings` are further lines of headgate.toml, and `folder` is there and empty."""
        random = Random(seed)
        target = FaultyTarget()
        async with target.serving() as url:
            config = folder / "headgate.toml"
            config.write_text(TOML.format(settings=settings, url=url, secret=SECRET))
            headgate = LoggedHeadgate(data_dir or folder / "data", config, store=store)
            headgate.environment["HEADGATE_STORE_ENABLED"] = str(store).lower()
            oracle = Oracle(text_bytes)
            world = cls(headgate, target, oracle, Load(headgate, oracle, Random(f"load {seed}")), random)
            try:
                yield world
            finally:
                await world._end()

    async def start(self) -> None:
        """Start `up`, and at the first time the load with it."""
        await asyncio.to_thread(self.headgate.start)
        if self._load_task is None:
            self._load_task = asyncio.create_task(self.load.run())

    async def suffer(self, faults: Sequence[Fault]) -> None:
        """One after the other, each under load."""
        for fault in faults:
            await self.until_flowing()
            await self.wait(self.random.random())
            await self.strike(fault)

    async def strike(self, fault: Fault) -> None:
        """Suffer it now, until events flow again and the books balance."""
        self.suffered.append(repr(fault))
        began = time.monotonic()
        await fault.strike(self)
        assert self.headgate.process is not None
        if self.headgate.process.poll() is not None:
            await self.start()
        await self.until_flowing()
        self.say(f"{time.monotonic() - began:.1f} s after {self.suffered[-1]}")
        self.assert_balance(await asyncio.to_thread(answered, self.headgate, "sinks", "status"))

    async def wait(self, seconds: float) -> None:
        """Let the load run on."""
        await asyncio.sleep(seconds)

    def say(self, what: str) -> None:
        """For who watches with `pytest -s`."""
        print(f"{len(self.oracle.acknowledged):>7} acknowledged, {what}")  # noqa: T201

    async def until_flowing(self) -> None:
        """Until more is acknowledged than is by now."""
        enough = len(self.oracle.acknowledged) + FLOWING
        await self.until(lambda: len(self.oracle.acknowledged) >= enough, "events are acknowledged again")

    async def until_stalled(self) -> None:
        """Until nothing was acknowledged for a second."""
        seen = [-1, 0.0]

        def stalled() -> bool:
            count, now = len(self.oracle.acknowledged), time.monotonic()
            if count != seen[0]:
                seen[:] = count, now
            return now - seen[1] > 1

        await self.until(stalled, "nothing is acknowledged any more")

    async def until(self, condition: Callable[[], bool], what: str, seconds: float = RECOVERY_SECONDS) -> None:
        ends = time.monotonic() + seconds
        while not condition():
            if self._load_task is not None and self._load_task.done():
                self._load_task.result()
            if time.monotonic() > ends:
                pytest.fail(f"waited {seconds} s in vain until {what}, after {self.suffered}:\n{self.log_tail()}")
            await asyncio.sleep(0.05)

    def assert_balance(self, said: Any) -> None:
        """The books' own invariant, which holds at every moment."""
        rows = said["sinks"]
        assert {row["name"]: row["difference"] for row in rows} == dict.fromkeys(self.headgate.sinks, 0), self.suffered

    async def settle(self) -> None:
        """Load on until the run counts, end the load, let all be delivered, and judge."""
        self.load.pause /= 4
        await self.until(lambda: len(self.oracle.acknowledged) > LEAST_ACKNOWLEDGED, "enough is acknowledged", 300)
        self.load.stopping = True
        assert self._load_task is not None
        await asyncio.wait_for(self._load_task, RECOVERY_SECONDS)
        self.say("no more is sent")
        rows = await self._all_delivered()
        self.say("all is delivered")
        faults = []
        for sink in self.headgate.sinks:
            held = await asyncio.to_thread(self.delivered, sink)
            faults += self.oracle.faults(sink, held)
            row = rows[sink]
            books = {key: row[key] for key in ("accepted", "delivered", "filtered", "dead", "pending", "difference")}
            due = dict.fromkeys(books, 0) | {"accepted": len(held), "delivered": len(held)}
            if books != due:
                faults.append(f"{sink}: the books say {books} of {len(held)} events")
        if self.target.changed:
            faults.append(f"webhook: batches {self.target.changed} came again with another content")
        (usage,) = (await asyncio.to_thread(answered, self.headgate, "usage"))["projects"]
        if usage["used"] != rows["jsonl"]["delivered"]:
            faults.append(f"usage: {usage['used']} were counted and {rows['jsonl']['delivered']} delivered")
        assert not faults, f"{faults} after {self.suffered}"
        self._report()
        assert await asyncio.to_thread(self.headgate.stop) == 0

    async def _all_delivered(self) -> dict[str, Any]:
        ends = time.monotonic() + SETTLING_SECONDS
        while True:
            said = await asyncio.to_thread(answered, self.headgate, "sinks", "status")
            self.assert_balance(said)
            if not any(row["pending"] for row in said["sinks"]):
                return {row["name"]: row for row in said["sinks"]}
            if time.monotonic() > ends:
                pytest.fail(f"not all is delivered: {said}, after {self.suffered}:\n{self.log_tail()}")
            await asyncio.sleep(0.5)

    def delivered(self, sink: str) -> list[Delivered]:
        """All that it holds."""
        if sink == "webhook":
            return [Delivered.of_json(event) for event in self.target.events]
        if sink == "store":
            query = "SELECT event, event_id, distinct_id, session_id, properties_raw FROM events"
            return [Delivered.of_row(row) for row in self.asked(query)]
        files = sorted((self.headgate.data_dir / "events").glob("*.jsonl"))
        # By line feeds only: a text may hold other ends of lines.
        lines = [line for file in files for line in file.read_bytes().split(b"\n") if line]
        return [Delivered.of_json(json.loads(line)) for line in lines]

    def asked(self, query: str) -> list[dict[str, Any]]:
        """What the store answers."""
        connection = http.client.HTTPConnection("store", timeout=120)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(str(self.headgate.data_dir / "run/store.sock"))
            connection.request("POST", "/?" + urlencode({"default_format": "JSONEachRow"}), query.encode())
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, body
            return [json.loads(line) for line in body.split(b"\n") if line]
        finally:
            connection.close()

    def log_tail(self) -> str:
        log = self.headgate.log_file
        return log.read_text(errors="replace")[-4000:] if log.exists() else ""

    def pids(self) -> list[int]:
        """Of `up` and all its descendants."""
        assert self.headgate.process is not None
        return family(self.headgate.process.pid)

    def freeze(self) -> list[int]:
        """SIGSTOP to all of them."""
        assert self.headgate.process is not None
        return freeze(self.headgate.process.pid)

    async def killed(self) -> None:
        """kill -9 of all of them at once."""
        assert self.headgate.process is not None
        send(self.freeze(), signal.SIGKILL)
        await asyncio.to_thread(self.headgate.process.wait)

    def _report(self) -> None:
        """A line for the books of a campaign, where one is kept."""
        if file := os.environ.get("HEADGATE_TEST_FAULT_REPORT"):
            oracle = self.oracle
            line = {
                "test": os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0],
                "faults": self.suffered,
                "sinks": self.headgate.sinks,
                "issued": len(oracle.issued),
                "acknowledged": len(oracle.acknowledged),
                "refused": len(oracle.refused),
                "unknown": len(oracle.unknown),
            }
            with Path(file).open("a") as report:
                report.write(json.dumps(line) + "\n")

    async def _end(self) -> None:
        self.target.end()
        if self._load_task is not None and not self._load_task.done():
            self._load_task.cancel()
            await asyncio.wait([self._load_task])
        if self.headgate.process is not None:
            if self.headgate.process.poll() is None:
                await self.killed()
            if self.headgate.process.stdout is not None:
                self.headgate.process.stdout.close()
