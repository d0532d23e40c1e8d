"""What an author of a sink fills in, and how a case is run with it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from headgate_sinks.conformance.fault import Fault, KeepsContent
from headgate_sinks.conformance.target import Target
from headgate_sinks.conformance.workbench import Workbench
from headgate_sinks.sdk.sink import AnySink, Repeats

Case = Callable[[Workbench], Awaitable[None]]


class Harness:
    """`sink`, `target` and `config` are to be filled in, the others where they are needed."""

    sink: ClassVar[type[AnySink]]
    """The class under test."""
    cannot: ClassVar[Mapping[type[Fault | KeepsContent], str]] = {}
    """What the target cannot show, with the reason, which is what the skipped tests say."""
    seconds: ClassVar[float] = 60.0
    """How long a case may take."""

    def target(self, folder: Path) -> AbstractAsyncContextManager[Target]:
        """A target that is well; `folder` is its own and the sink's data directory. Called once a case."""
        raise NotImplementedError("give the test's class a `target`: an async context manager of a Target")

    def config(self, target: Any) -> dict[str, Any]:
        """The sink's `[sinks.config]` for this target. Secrets should look like secrets, not like words."""
        return {}

    def environment(self, target: Any) -> dict[str, str]:
        """Where its `env:` secrets are."""
        return {}

    def _run(self, case: Case, folder: Path, needs: type[Fault | KeepsContent] | None = None) -> None:
        if needs is not None and needs in self.cannot:
            pytest.skip(f"the target of {self.sink.use!r} cannot show {needs.__name__}: {self.cannot[needs]}")

        async def run() -> None:
            async with asyncio.timeout(self.seconds), self.target(folder) as target:
                bench = Workbench(self.sink, target, self.config(target), folder, self.environment(target))
                try:
                    await case(bench)
                finally:
                    await bench.close()

        asyncio.run(run())

    def _needs_repeats(self) -> None:
        if self.sink.spec.repeats is Repeats.NONE:
            pytest.skip(f"the spec of {self.sink.use!r} says that a repeated batch may double: {Repeats.NONE}")

    def _check_counts(self, bench: Workbench, counts: list[int], expected: list[int] | None = None) -> None:
        expected = expected or [1] * len(counts)
        if bench.once:
            assert counts == expected
        else:
            assert [min(count, 1) for count in counts] == expected
