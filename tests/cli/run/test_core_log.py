"""Lines of gRPC's C core in the log of a process, which is a process of its own here."""

import subprocess
import sys

HEAD = """
import os, sys, structlog
from headgate_cli.run.core_log import formed_core_log
from headgate_cli.run.logs import write_logs
write_logs("service")
log = structlog.get_logger()
"""
LINE = "E1129 10:20:10.136722    1111 ssl_transport_security.cc:2563] Handshake failed: 10.0.0.1"


def lines_of(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", HEAD + script], capture_output=True, text=True, timeout=60)
    return done.stderr.splitlines()


def test_a_line_of_the_core_is_an_entry_and_the_rest_stays():
    lines = lines_of(f"""
with formed_core_log():
    log.info("ours")
    print("of Python", file=sys.stderr)
    os.write(2, b"of some library\\n")
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
    os.write(2, b"{LINE}\\n")
log.info("after")
os.write(2, b"raw again\\n")
""")
    entries = [line.partition(" ")[2] for line in lines if line.startswith("timestamp=")]
    # What the core and libraries write comes a moment later than what Python does.
    assert sorted(entries) == [
        'level=error process=service event="Handshake failed: 10.0.0.1" source=ssl_transport_security.cc:2563',
        "level=info process=service event=after",
        "level=info process=service event=ours",
    ]
    assert sorted(set(lines) - {line for line in lines if line.startswith("timestamp=")}) == [
        "of Python",
        "of some library",
        "raw again",
    ]


def test_the_cores_own_words_about_a_failed_handshake_are_entries():
    lines = lines_of("""
import socket, time, grpc
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, UTC
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
key, now, name = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC), x509.Name([])
made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
certificate = made.sign(key, hashes.SHA256())
pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), certificate.public_bytes(Encoding.PEM)
with formed_core_log():
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pem]))
    server.start()
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
        while stranger.recv(1000):
            pass
    time.sleep(0.5)
    server.stop(None).wait()
""")
    (told,) = [line for line in lines if "Handshake failed" in line]
    assert told.startswith("timestamp=")
    assert "process=service" in told


def test_what_python_says_of_a_crash_is_not_lost():
    lines = lines_of("""
with formed_core_log():
    raise SystemExit("the port is taken")
""")
    assert lines == ["the port is taken"]
    assert "ZeroDivisionError: division by zero" in lines_of("""
with formed_core_log():
    1 / 0
""")
