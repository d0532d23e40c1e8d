"""Certificates that cannot be used are told at the start, by the name of their setting."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from headgate_cli.run.certificates import check_certificates, check_gateway
from headgate_cli.settings.reader import SettingsInvalid
from headgate_cli.settings.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = trustme.CA()
    for name in ("one", "two"):
        made = authority.issue_cert("localhost")
        made.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        made.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    key = serialization.load_pem_private_key((tmp_path / "one.key").read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"passphrase")
    (tmp_path / "locked.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    (tmp_path / "text.pem").write_text("not a certificate")
    return tmp_path


def settings(folder: Path, **tables: object) -> Settings:
    return Settings.model_validate(tables, context={"folder": folder})


def pair(certificate: str = "one.pem", key: str = "one.key", **more: str) -> dict[str, str]:
    return {"certificate": certificate, "key": key, **more}


def test_good_ones_pass(folder):
    check_certificates(settings(folder, tls={"http": pair(), "grpc": pair(client_ca="ca.pem")}))
    check_gateway(settings(folder, gateway=pair(service_ca="ca.pem")))
    check_gateway(Settings())
    check_certificates(Settings())


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        ({"http": pair("absent.pem")}, r"tls\.http\.certificate: .*absent\.pem cannot be read: No such file"),
        ({"grpc": pair(key="absent.key")}, r"tls\.grpc\.key: .*absent\.key cannot be read"),
        ({"http": pair(key="two.key")}, r"tls\.http: .*one\.pem and .*two\.key are not .*: .*MISMATCH"),
        ({"http": pair("text.pem")}, r"tls\.http: .*text\.pem .* are not a certificate in PEM"),
        ({"grpc": pair(key="locked.key")}, r"tls\.grpc: .* without a passphrase"),
        ({"grpc": pair(client_ca="text.pem")}, r"tls\.grpc\.client_ca: .*text\.pem holds no certificates"),
        ({"grpc": pair(client_ca="absent.pem")}, r"tls\.grpc\.client_ca: .*cannot be read"),
    ],
)
def test_a_bad_one_is_named(folder, tls, said):
    with pytest.raises(SettingsInvalid, match=said):
        check_certificates(settings(folder, tls=tls))


@pytest.mark.parametrize(
    ("gateway", "said"),
    [
        ({"certificate": "one.pem", "service_ca": "ca.pem"}, r"gateway\.certificate: .*go together"),
        (pair(), r"gateway\.certificate: without gateway\.service_ca"),
        ({"service_ca": "absent.pem"}, r"gateway\.service_ca: .*cannot be read"),
        (pair(key="two.key", service_ca="ca.pem"), r"gateway: .*MISMATCH"),
    ],
)
def test_a_gateway_s_too(folder, gateway, said):
    with pytest.raises(SettingsInvalid, match=said):
        check_gateway(settings(folder, gateway=gateway))


@pytest.mark.parametrize("command", ["up", "gateway", "service"])
def test_a_process_ends_at_once_with_one_line(tmp_path, command):
    absent = 'certificate = "absent.pem"\nkey = "absent.key"\n'
    (tmp_path / "headgate.toml").write_text(f"[tls.http]\n{absent}[tls.grpc]\n{absent}")
    known = {"HEADGATE_GATEWAY_TOKEN": "t", "HEADGATE_REDIS_URL": "redis://127.0.0.1:1"} if command != "up" else {}
    ended = subprocess.run(
        [sys.executable, "-m", "headgate_cli", command],
        cwd=tmp_path,
        env={**os.environ, **known},
        capture_output=True,
        text=True,
        timeout=60,
    )
    table = "grpc" if command == "service" else "http"
    expected = f"headgate: tls.{table}.certificate: {tmp_path}/absent.pem cannot be read: No such file or directory\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", expected)
