"""How the gateway reaches the service that takes events in."""

from typing import Protocol

from headgate.v1 import ingest_service_pb2


class ServiceUnavailable(Exception):
    """The service did not answer: the request is not confirmed, and may or may not have been stored."""


class RequestTooLarge(Exception):
    """The request, as events, is larger than one call can bear, though its body was within its limits."""


class IngestClient(Protocol):
    """Sends one understood HTTP request and gets its own answer."""

    async def ingest(self, request: ingest_service_pb2.GatheredRequest) -> ingest_service_pb2.GatheredAnswer:
        """Return the answer, or raise ServiceUnavailable or RequestTooLarge."""
        ...

    async def admitted(self, seconds: float) -> bool:
        """Whether the service takes this gateway for one of its own; True where it does not answer in time."""
        ...

    async def close(self) -> None:
        """Take nothing more, and wait for what was taken."""
        ...
