"""What a gateway process is told at its start; it reads nothing else of the world around it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

from headgate_gateway.http.body import BodyLimits
from headgate_gateway.http.client_address import Network
from headgate_gateway.http_server.connection import HeadLimits
from headgate_gateway.ingest.client import Gathering


@dataclass(frozen=True, slots=True)
class ServiceTls:
    """PEM files for TLS towards the service. `certificate` and `key` are shown where it asks for a client's (mTLS)."""

    authority: Path
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("service_tls: certificate and key go together")


@dataclass(frozen=True, slots=True)
class HttpTls:
    """PEM files for HTTPS."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Config:
    """Port 0 takes a free port; `ready_file` then gets the address, as {"http": "http://HOST:PORT"}.

    `service_address` is a gRPC target, such as "127.0.0.1:8081" or "unix:/run/headgate.sock". `trusted_proxies` are
    the networks whose word on the client's address is taken; see `networks`.
    """

    http_host: str
    http_port: int
    service_address: str
    gateway_token: str = field(repr=False)
    trusted_proxies: tuple[Network, ...] = ()
    ready_file: Path | None = None
    http_tls: HttpTls | None = None
    service_tls: ServiceTls | None = None
    head: HeadLimits = field(default_factory=HeadLimits)
    body: BodyLimits = field(default_factory=BodyLimits)
    dialects: tuple[str, ...] = ()
    """Plugins whose dialects are served beside the built-in ones, by the names of their entry points."""
    gathering: Gathering = field(default_factory=Gathering)
    receipt_seconds: float = 5.0
    """The longest wait for the service to look a receipt up."""
    probe_seconds: float = 1.0
    """The longest wait for a dependency's state."""
    keep_alive_seconds: int = 65
    """How long an idle connection is kept: longer than the 60 s that proxies commonly keep theirs."""
    max_connections: int = 4096
    """How many connections are held; see `Connections`."""
    drain_seconds: int = 25
    """How long requests in progress may take to end after SIGTERM."""

    def __post_init__(self) -> None:
        if not 0 <= self.http_port <= 65_535:
            raise ValueError(f"http_port: {self.http_port} is not a port")
        if not self.service_address:
            raise ValueError("service_address: where is the service?")
        if not self.gateway_token:
            raise ValueError("gateway_token: the service lets no gateway in without one")


def networks(names: Sequence[str]) -> tuple[Network, ...]:
    """Read addresses and CIDR networks; ValueError names the one that is neither."""
    return tuple(ip_network(name, strict=False) for name in names)
