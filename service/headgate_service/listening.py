"""Where the service's gRPC servers listen: a port for all, a socket for the operator."""

import os
from pathlib import Path

import grpc

from headgate_service.config import TlsFiles


def listen(server: grpc.aio.Server, address: str, tls: TlsFiles | None) -> int:
    """Makes the server listen on HOST:PORT and returns the port. Raises SystemExit where it cannot."""
    try:
        if tls is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, _credentials(tls))
    except RuntimeError as error:
        raise SystemExit(
            f"the service cannot listen on {address}: is the port taken? Choose another with --grpc"
        ) from error


def _credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key.read_bytes(), tls.certificate.read_bytes())],
        root_certificates=tls.client_ca.read_bytes() if tls.client_ca else None,
        require_client_auth=tls.client_ca is not None,
    )


def listen_on_socket(server: grpc.aio.Server, path: Path) -> None:
    """Makes the server listen on a socket that only its owner can open. Raises SystemExit where it cannot."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    # The socket is never open to others, not even for the moment until its mode is set.
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError as error:
        raise SystemExit(
            f"the service cannot listen on {path}: a socket's path has room for about 100 characters; "
            "choose a shorter --data-dir"
        ) from error
    finally:
        os.umask(before)
