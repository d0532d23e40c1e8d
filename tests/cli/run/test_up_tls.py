"""`headgate up` with certificates: its own gateway finds the service all the same, strangers must show theirs."""

import datetime
import ipaddress
import json
import signal
import ssl
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from headgate.v1 import event_pb2, ingest_service_pb2
from headgate.v1.ingest_service_pb2_grpc import IngestServiceStub


@dataclass
class Party:
    """A certificate and its key, in files of a folder."""

    certificate: Path
    key: Path

    @classmethod
    def made(cls, folder: Path, name: str) -> "Party":
        """One that vouches for itself, good for 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .sign(key, hashes.SHA256())
        )
        party = cls(folder / f"{name}.pem", folder / f"{name}.key")
        party.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        party.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return party


def ingest(target: str, credentials: grpc.ChannelCredentials, key: str) -> int:
    request = ingest_service_pb2.IngestEventsRequest(events=[event_pb2.Event(name="x", distinct_id="u")])
    with grpc.secure_channel(target, credentials) as channel:
        answer = IngestServiceStub(channel).IngestEvents(
            request, metadata=[("authorization", f"Bearer {key}")], timeout=10
        )
    return len(answer.results)


def test_both_addresses_speak_tls_and_callers_show_certificates(short_dir: Path) -> None:
    server, client = Party.made(short_dir, "server"), Party.made(short_dir, "client")
    (short_dir / "headgate.toml").write_text(
        '[tls.http]\ncertificate = "server.pem"\nkey = "server.key"\n'
        '[tls.grpc]\ncertificate = "server.pem"\nkey = "server.key"\nclient_ca = "client.pem"\n'
    )
    with (short_dir / "log").open("wb") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "headgate_cli", "up", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"],
            cwd=short_dir,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert up.stdout is not None
        said = dict(part.split("=", 1) for part in up.stdout.readline().split()[1:])
        assert said["http"].startswith("https://"), (short_dir / "log").read_text()
        trusting = ssl.create_default_context(cafile=str(server.certificate))
        with urllib.request.urlopen(f"{said['http']}/readyz", timeout=10, context=trusting) as answer:  # noqa: S310
            assert answer.status == 200
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
        key = json.loads((short_dir / "headgate-data" / "first-start.json").read_text())["keys"]["secret"]
        roots = server.certificate.read_bytes()
        known = grpc.ssl_channel_credentials(roots, client.key.read_bytes(), client.certificate.read_bytes())
        assert ingest(said["grpc"], known, key) == 1
        with pytest.raises(grpc.RpcError):
            ingest(said["grpc"], grpc.ssl_channel_credentials(roots), key)
    finally:
        up.send_signal(signal.SIGTERM)
        assert up.wait(60) == 0
        if up.stdout is not None:
            up.stdout.close()
