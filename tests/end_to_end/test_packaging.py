"""The files that run Headgate in a container or under systemd say what they must, and their commands work."""

import configparser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PACKAGING = Path(__file__).parents[2] / "packaging"
DOCKERFILE = (PACKAGING / "docker" / "Dockerfile").read_text()
UNIT = PACKAGING / "systemd" / "headgate.service"


def test_the_health_check_of_the_image_tells_whether_headgate_is_ready(headgate):
    (words,) = re.findall(r"HEALTHCHECK [^\n]*\\\n +CMD (\[.*\])", DOCKERFILE)
    _, *arguments = json.loads(words)
    ready = [one.replace("http://127.0.0.1:8080", headgate.http) for one in arguments]
    gone = [one.replace("http://127.0.0.1:8080", "http://127.0.0.1:1") for one in arguments]
    assert subprocess.run([sys.executable, *ready], check=False).returncode == 0
    assert subprocess.run([sys.executable, *gone], check=False, stderr=subprocess.DEVNULL).returncode != 0


def test_the_image_runs_what_the_readme_runs_and_not_as_root():
    user = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
    assert user == ["10001"]
    assert 'ENTRYPOINT ["headgate"]\nCMD ["up", "--data-dir", "/data"]' in DOCKERFILE


def test_compose_gives_the_drain_its_time_and_the_container_no_rights():
    compose = yaml.safe_load((PACKAGING / "docker" / "compose.yaml").read_text())
    service = compose["services"]["headgate"]
    assert (PACKAGING / "docker" / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["stop_grace_period"] == "60s"
    assert service["volumes"] == ["headgate-data:/data"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path):
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(UNIT)
    assert unit["Service"]["ExecStart"].split()[1:] == ["up", "--data-dir", "/var/lib/headgate"]
    copy = tmp_path / "headgate.service"
    # systemd looks for the command, which is installed where the unit runs.
    copy.write_text(UNIT.read_text().replace("/opt/headgate/bin/headgate", "/bin/true"))
    verified = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    security = ["systemd-analyze", "security", "--offline=true", "--threshold=25", copy]
    assert subprocess.run(security, capture_output=True, check=False).returncode == 0
