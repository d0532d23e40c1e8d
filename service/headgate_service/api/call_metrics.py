"""What the service counts of the calls of its public port."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class CallMetrics:
    """The metrics of gRPC calls."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.calls = Counter(
            "headgate_grpc_calls",
            "Calls that ended, streams too, by method and gRPC code",
            ["method", "code"],
            registry=registry,
        )
        self.seconds = Histogram(
            "headgate_grpc_call_seconds",
            "Time that calls of one answer took, by method, in seconds",
            ["method"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.open_streams = Gauge(
            "headgate_grpc_open_streams", "Streams under way, by method", ["method"], registry=registry
        )
        self.refusals = Counter(
            "headgate_grpc_refusals",
            "Requests of IngestEvents and messages of StreamEvents that were refused whole, by cause",
            ["cause"],
            registry=registry,
        )
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
