"""Ports that `headgate up` promises to keep while its children come and go."""

import errno
import socket
import sys

from headgate_cli.address import Address


class AddressTaken(Exception):
    """Something else listens there, or it is no address of this machine."""


class HeldAddress:
    """An address with its port chosen, bound but not listened on, so that nothing else is given it meanwhile."""

    def __init__(self, asked: Address, flag: str) -> None:
        # As the gateway and the service listen: a name means IPv4.
        version = socket.AF_INET6 if ":" in asked.host else socket.AF_INET
        try:
            family, kind, protocol, _, where = socket.getaddrinfo(
                asked.host, asked.port, family=version, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except OSError as error:
            raise AddressTaken(f"{asked}: {error.strerror}: choose another with {flag}") from None
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(where)
        except OSError as error:
            self._socket.close()
            known = {errno.EADDRINUSE: "is taken by another program", errno.EACCES: "needs privileges to listen on"}
            why = known.get(error.errno or 0, f"cannot be listened on ({error.strerror})")
            raise AddressTaken(f"{asked} {why}: choose another with {flag}") from None
        self.address = Address(asked.host, self._socket.getsockname()[1])
        if sys.platform != "linux":
            # Elsewhere a bound socket keeps a child from binding too; the port is then only unlikely to be lost.
            self._socket.close()

    def close(self) -> None:
        """Give it up."""
        self._socket.close()
