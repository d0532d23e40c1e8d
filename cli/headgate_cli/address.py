"""HOST:PORT, as flags and settings write it."""

from dataclasses import dataclass

# Where a wildcard address is reached from the machine itself.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104


@dataclass(frozen=True)
class Address:
    """A host (name, IPv4 or IPv6 address, without brackets) and a port; port 0 stands for any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read "HOST:PORT" or "[IPV6]:PORT". Raises ValueError with what to write instead."""
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError(f"{text!r} is no address: write an IPv6 host in brackets, as [::1]:8080")
        if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} is no address: write HOST:PORT, as 127.0.0.1:8080")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def reachable(self) -> "Address":
        """The same, with a wildcard host replaced by one that can be connected to."""
        return Address(LOOPBACK.get(self.host, self.host), self.port)
