"""The story of docs/guide/team.md, run as the page prints it."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "team.md").read_text()
MARK = "=== the next block ==="


def printed(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


class Receiver:
    """Takes webhooks and keeps what they hold."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        receiver = self

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def names(self) -> list[str]:
        return [name for body in self.bodies for name in re.findall(r'"name":"(\w+)"', body.decode())]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("curl")), reason="the page needs bash and curl")
def test_the_page_takes_a_team_from_signing_in_to_a_roll_back(make_headgate, receiver, wait_until, tmp_path):  # type: ignore[no-untyped-def]
    headgate = make_headgate(printed("toml")[0]).start()
    assert "app=" + headgate.http in headgate.ready
    (tmp_path / "headgate-data").symlink_to(headgate.data_dir)
    config = printed("yaml")[0].replace(":9000/", f":{receiver.server.server_port}/")
    (tmp_path / "headgate.yaml").write_text(config)
    script = f"echo '{MARK}'\n".join(printed("sh")).replace("http://127.0.0.1:8080", headgate.http)
    run = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("HEADGATE_")},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HEADGATE_CREDENTIALS": str(tmp_path / "credentials.json"),
            "NO_COLOR": "1",
            "COLUMNS": "200",
        },
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    signed_in, logged_in, made, plan, deployed, sent, seen, over, back = run.stdout.split(MARK)

    assert '"email":"owner@localhost"' in signed_in
    assert "owner@localhost" in logged_in
    # Keys are for a file here, never for the terminal.
    assert not re.search(r"[ps]k_live_\w", made + deployed)
    assert "20" in plan
    assert "purchases" in deployed
    answers = [line.rsplit(" ", 1) for line in sent.strip().splitlines()]
    assert [status for _, status in answers] == ["200"] * 4
    assert json.loads(answers[0][0]) == {"success": True, "events": 2}
    assert json.loads(answers[1][0]) == {"success": True, "received": 1}
    assert json.loads(answers[2][0])["data"]["data"]["status"] == "accepted"
    assert json.loads(answers[3][0]) == {"success": True, "received": 1}
    names = [json.loads(line)["name"] for line in seen.splitlines() if line.startswith("{")]
    assert sorted(names) == ["click", "page_visit", "purchase"]
    assert "1 SAMPLED" in seen
    body, status = over.strip().rsplit(" ", 1)
    assert (status, json.loads(body)) == (
        "429",
        {
            "error": "Monthly event limit exceeded",
            "code": "EVENT_LIMIT_EXCEEDED",
            "limit": 20,
            "used": 3,
            "remaining": 17,
        },
    )
    assert "deploy.activate" in back

    def purchases() -> dict[str, object]:
        rows = headgate.json("sinks", "status")["sinks"]
        return next((row for row in rows if row["name"].endswith("purchases") and row["project"] == "shop"), {})

    # The roll back brought the sink back where it was: nothing comes twice.
    wait_until(lambda: purchases().get("delivered") == 1, "the purchase is delivered")
    assert (purchases()["accepted"], purchases()["filtered"], purchases()["difference"]) == (3, 2, 0)
    assert receiver.names == ["purchase"]
