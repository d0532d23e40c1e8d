"""The target of a sink under test: a double, or the real thing with a handle on it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from headgate_sinks.conformance.fault import Fault


class Target(ABC):
    """Runs in the event loop of the sink, or anywhere else."""

    @abstractmethod
    async def received(self) -> Sequence[Mapping[str, Any]]:
        """What it holds: for each event `eventId`, and `name` and `properties` (a JSON value) as it keeps them. An
        event that it holds twice is there twice. It may hold events of other tests too."""

    async def arm(self, fault: Fault | None) -> None:
        """From now on it behaves so; None: it is well."""
        if fault is not None:
            raise NotImplementedError(
                f"{type(self).__name__}.arm does not show {fault}: implement it, or say in `cannot` of the test's class"
                " why this target cannot show it"
            )
