"""Whether the certificates that the settings name can be used, told before anything listens."""

import ssl
from pathlib import Path

from headgate_cli.settings.reader import SettingsInvalid
from headgate_cli.settings.settings import Settings


def check_certificates(settings: Settings) -> None:
    """Check all that `headgate up` uses. Raises SettingsInvalid, naming the setting."""
    check_http(settings)
    check_grpc(settings)


def check_http(settings: Settings) -> None:
    """Check those of the JSON APIs."""
    if tls := settings.tls.http:
        _check_pair("tls.http", tls.certificate, tls.key)


def check_grpc(settings: Settings) -> None:
    """Check those of the gRPC API."""
    if tls := settings.tls.grpc:
        _check_pair("tls.grpc", tls.certificate, tls.key)
        if tls.client_ca:
            _check_authorities("tls.grpc.client_ca", tls.client_ca)


def check_gateway(settings: Settings) -> None:
    """Check those that a gateway which runs alone shows to the service and knows it by."""
    own = settings.gateway
    if (own.certificate is None) != (own.key is None):
        raise SettingsInvalid("gateway.certificate: it and gateway.key go together: set both or neither")
    if own.certificate and own.key:
        if own.service_ca is None:
            raise SettingsInvalid(
                "gateway.certificate: without gateway.service_ca the service is called without TLS, and nobody would "
                "see it: set both or neither"
            )
        _check_pair("gateway", own.certificate, own.key)
    if own.service_ca:
        _check_authorities("gateway.service_ca", own.service_ca)


def _check_pair(table: str, certificate: Path, key: Path) -> None:
    _check_readable(f"{table}.certificate", certificate)
    _check_readable(f"{table}.key", key)
    try:
        # A key with a passphrase is refused: nobody is there to be asked for it.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_passphrase)
    except (ssl.SSLError, ValueError) as error:
        raise SettingsInvalid(
            f"{table}: {certificate} and {key} are not a certificate in PEM and its private key without a passphrase: "
            f"{_reason(error)}"
        ) from None


def _check_authorities(setting: str, path: Path) -> None:
    _check_readable(setting, path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise SettingsInvalid(f"{setting}: {path} holds no certificates in PEM: {_reason(error)}") from None


def _check_readable(setting: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise SettingsInvalid(f"{setting}: {path} cannot be read: {error.strerror}") from None


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)
