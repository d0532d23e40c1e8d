"""The bench runs, gives the rows it was asked for, and no figures where an answer was no success."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "bench", "--server-cores", "0", "--load-cores", "0", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
    )


def measured(tmp_path: Path, *rows: str) -> tuple["subprocess.CompletedProcess[str]", dict[str, Any]]:
    out = tmp_path / "out.json"
    done = bench("--rounds", "1", "--seconds", "0.4", "--json", str(out), "--rows", *rows)
    assert out.exists(), done.stderr
    return done, json.loads(out.read_text())


def test_names_its_rows_without_measuring() -> None:
    names = {line.partition(":")[0] for line in bench("--list").stdout.splitlines()}
    assert {
        "ingest/realanalytics-1",
        "ingest/realanalytics-100",
        "ingest/xaiku-5",
        "ingest/codcompass-100-gzip",
        "ingest/prompting-company-1",
        "ingest/grpc-unary-100",
        "ingest/grpc-stream-1",
        "peers/fastapi-1",
        "peers/flask-tuned-100",
        "ceilings/falcon-1",
        "forwarder/jsonl",
        "forwarder/webhook",
        "delay/webhook-default-80",
        "growth/projects-10000",
        "growth/sinks-100",
        "growth/ids-1000000",
        "rest/start",
        "memory/queued",
    } <= names


def test_gives_a_table_and_the_figures_of_every_chosen_row(tmp_path: Path) -> None:
    rows = ["ingest/realanalytics-100-gzip", "ingest/prompting-company-1", "ingest/grpc-*-1", "ceilings/falcon-1"]
    done, found = measured(tmp_path, *rows)
    assert done.returncode == 0, done.stderr
    assert [row["row"] for row in found["rows"]] == [
        "ingest/realanalytics-100-gzip",
        "ingest/prompting-company-1",
        "ingest/grpc-unary-1",
        "ingest/grpc-stream-1",
        "ceilings/falcon-1",
    ]
    for row in found["rows"]:
        assert row["void"] is None
        assert row["medians"]["requests/s"] > 0
        assert row["medians"]["p99 ms at 70 %"] >= row["medians"]["p50 ms at 70 %"] > 0
        assert row["title"] in done.stdout
    assert found["machine"]["python"] in done.stdout


def test_a_forwarder_row_drains_and_growth_and_memory_rows_fill(tmp_path: Path) -> None:
    small = ["--backlog", "20000", "--ids", "2000"]
    done, found = measured(tmp_path, "forwarder/webhook", "growth/ids-2000", "memory/queued", *small)
    assert done.returncode == 0, done.stderr
    webhook, ids, queued = (row["medians"] for row in found["rows"])
    # What they come to is the bench's to say: so short a run only shows that each was measured.
    assert "forwarder us/event" in webhook
    assert "CPU us/event" in ids
    assert queued["held / compressed"] > 0


@pytest.fixture
def refusing_peer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An nginx that answers 503: a script that stands in for it."""
    script = tmp_path / "nginx"
    script.write_text(
        f"#!{sys.executable}\n"
        "import http.server, re, sys\n"
        "class Refusing(http.server.BaseHTTPRequestHandler):\n"
        "    protocol_version = 'HTTP/1.1'\n"
        "    def do_POST(self):\n"
        "        self.rfile.read(int(self.headers['Content-Length']))\n"
        "        self.send_response(503)\n"
        "        self.send_header('Content-Length', '0')\n"
        "        self.end_headers()\n"
        "port = int(re.search(r'127\\.0\\.0\\.1:(\\d+)', open(sys.argv[4]).read())[1])\n"
        "http.server.ThreadingHTTPServer(('127.0.0.1', port), Refusing).serve_forever()\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("BENCH_NGINX", str(script))


@pytest.mark.usefixtures("refusing_peer")
def test_a_row_with_any_other_answer_than_success_is_void(tmp_path: Path) -> None:
    done, found = measured(tmp_path, "ceilings/nginx-1")
    assert done.returncode == 1
    (row,) = found["rows"]
    assert "503" in row["void"]
    assert row["medians"] == {}
    assert "VOID" in done.stdout
