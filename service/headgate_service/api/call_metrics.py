"""What the service counts of the calls of its public port."""

from prometheus_client import CollectorRegistry, Counter


class CallMetrics:
    """The metrics of gRPC calls."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.read_bytes = Counter(
            "headgate_grpc_read_bytes", "Bytes of the messages that calls of ingestion have read", registry=registry
        )
        self.corrupt = Counter(
            "headgate_grpc_corrupt_messages", "Messages that were not the protobuf of their call", registry=registry
        )
        self.mended = Counter(
            "headgate_grpc_mended_messages",
            "Messages of ingestion in which text that was not UTF-8 was replaced",
            registry=registry,
        )
