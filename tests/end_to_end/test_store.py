"""Events in the embedded store, as whoever has the data directory finds them there."""

import asyncio
import contextlib
import http.client
import json
import socket
from typing import Any
from urllib.parse import urlencode

import httpx
import redis


class Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("store", timeout=10)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def asked(headgate, query: str) -> list[dict[str, Any]]:
    connection = Unix(str(headgate.data_dir / "run/store.sock"))
    try:
        connection.request("GET", "/?" + urlencode({"query": f"{query} FORMAT JSONEachRow"}))
        return [json.loads(line) for line in connection.getresponse().read().splitlines()]
    except OSError:
        return []
    finally:
        connection.close()


def send(headgate, *ids: str) -> None:
    events = [
        {
            "event": "bought",
            "timestamp": "2026-02-01T12:00:00Z",
            "distinctId": id_,
            "sessionId": "s",
            "properties": {"n": 1},
        }
        for id_ in ids
    ]
    key = {"X-API-Key": headgate.keys["public"]}
    assert httpx.post(headgate.http, json=events, headers=key, timeout=30).status_code == 200


def test_events_are_there_and_a_killed_store_neither_loses_nor_doubles_one(make_headgate, wait_until, monkeypatch):
    monkeypatch.setenv("HEADGATE_STORE_ENABLED", "true")
    headgate = make_headgate().start()
    send(headgate, "u1")
    counted = "SELECT count() AS n, uniqExact(event_id) AS ids FROM events"

    def there(events: int) -> bool:
        return [{int(row["n"]), int(row["ids"])} for row in asked(headgate, counted)] == [{events}]

    wait_until(lambda: there(1), "the event is in the store")
    killed = headgate.kill("store")
    send(headgate, *(f"v{n}" for n in range(50)))
    wait_until(lambda: headgate.pid("store") not in (None, killed), "the store runs again")
    wait_until(lambda: there(51), "all events are in the store, each once")
    rows = headgate.json("sinks", "status")["sinks"]
    assert {row["name"]: (row["state"], row["difference"]) for row in rows} == {
        "jsonl": ("running", 0),
        "store": ("running", 0),
    }
    assert headgate.json("store", "delete-user", "v1", "--project", "default")["deleted"] == 1
    assert "log.keep" in headgate.run("store", "delete-user", "v1", "--project", "default").stdout
    assert "kept for 30 days" in headgate.run("store", "keep", "30", "--project", "default").stdout
    assert headgate.run("store", "keep", "-1", "--project", "default", check=False).returncode == 2
    assert "no project nope" in headgate.run("store", "delete-user", "v1", "--project", "nope", check=False).stderr
    assert there(50)
    assert headgate.stop() == 0


def test_without_its_library_everything_else_works(make_headgate, monkeypatch, short_dir):
    monkeypatch.setenv("HEADGATE_STORE_ENABLED", "true")
    headgate = make_headgate()
    hides = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'chdb' else find(name, *more)\n"
        "sys.argv[0] = 'headgate'; from headgate_cli.main import app; app()"
    )
    headgate.command = (headgate.command[0], "-c", hides)
    headgate.start()
    assert "needs the package chdb-core" in headgate.log_file.read_text()
    send(headgate, "u1")
    assert [row["name"] for row in headgate.json("sinks", "status")["sinks"]] == ["jsonl"]
    assert headgate.stop() == 0


def test_a_store_elsewhere_is_one_url_away(make_headgate, wait_until, own_store, monkeypatch):
    elsewhere = own_store('[store]\naddress = "127.0.0.1:0"\n')
    host, port = elsewhere.address
    password = (elsewhere.folder / "store.key").read_text()
    asyncio.run(elsewhere.ask("CREATE DATABASE other"))
    monkeypatch.setenv("HEADGATE_STORE_URL", f"http://headgate:{password}@{host}:{port}/other")
    headgate = make_headgate().start()
    assert headgate.pid("store") is None
    send(headgate, "u1")
    found: list[Any] = []

    def there() -> bool:
        with contextlib.suppress(AssertionError):
            found[:] = asyncio.run(elsewhere.rows("SELECT event, distinct_id FROM other.events"))
        return bool(found)

    wait_until(there, "the service has made the tables and the sink has filled them", seconds=60)
    assert found == [{"event": "bought", "distinct_id": "u1"}]
    assert password not in headgate.log_file.read_text()
    assert headgate.stop() == 0


def break_parts(headgate) -> None:
    """What a power cut leaves of parts that were not synced: files of the right names, with nothing in them."""
    parts = [
        part
        for part in (headgate.data_dir / "store/data/store").glob("*/*/2*_*_*_*")
        if (part / "skp_idx.packed").exists()
    ]
    assert parts
    for file in (file for part in parts for file in part.iterdir()):
        file.write_bytes(b"")


def readiness(headgate) -> tuple[int, str]:
    answer = httpx.get(f"{headgate.http}/readyz", timeout=10)
    return answer.status_code, answer.json()["dependencies"]["store"]


def trim_log(headgate) -> None:
    """What the forwarder does with entries that every sink has settled, a day later."""
    with redis.Redis(unix_socket_path=str(headgate.data_dir / "run/redis.sock"), decode_responses=True) as client:
        for use in client.scan_iter("{s*}:*:use"):
            seq, size = client.hmget(use, "seq", "bytes")
            client.xtrim(use.removesuffix("use") + "log", maxlen=0, approximate=False)
            client.hset(use, mapping={"trimmed_seq": seq, "trimmed_bytes": size})


def fill_and_break(headgate, wait_until, *, trimmed: bool = False) -> None:
    headgate.start()
    assert readiness(headgate) == (200, "ok")
    for start in range(0, 60, 20):
        send(headgate, *(f"u{n}" for n in range(start, start + 20)))
    counted = "SELECT count() AS n FROM events"
    wait_until(lambda: [int(row["n"]) for row in asked(headgate, counted)] == [60], "the events are in the store")
    assert headgate.json("store", "check")["whole"]
    if trimmed:
        rows = lambda: headgate.json("sinks", "status")["sinks"]  # noqa: E731
        wait_until(lambda: all(row["pending"] == 0 for row in rows()), "every sink has settled all")
        trim_log(headgate)
    assert headgate.stop() == 0
    break_parts(headgate)


def test_rows_of_a_broken_part_come_back_from_the_log(make_headgate, wait_until, monkeypatch):
    monkeypatch.setenv("HEADGATE_STORE_ENABLED", "true")
    headgate = make_headgate()
    fill_and_break(headgate, wait_until)
    headgate.start()
    wait_until(lambda: "the store holds all again" in headgate.log_file.read_text(), "the damage is mended")
    wait_until(lambda: readiness(headgate) == (200, "ok"), "it is told")
    log = headgate.log_file.read_text()
    assert "parts of the store are damaged" in log
    assert "the store is filled again from the log" in log
    report = headgate.json("store", "check")
    assert (report["whole"], report["damagedParts"]) == (True, [])
    assert [(row["expected"], row["rows"]) for row in report["projects"]] == [(60, 60)]
    assert headgate.json("store", "status")["rows"] == 60
    assert headgate.stop() == 0


def test_rows_that_the_log_holds_no_more_are_named_until_they_are_given_up(make_headgate, wait_until, monkeypatch):
    monkeypatch.setenv("HEADGATE_STORE_ENABLED", "true")
    headgate = make_headgate()
    fill_and_break(headgate, wait_until, trimmed=True)
    headgate.start()
    wait_until(lambda: headgate.json("store", "status")["missing"] == 60, "what is missing is counted")
    assert readiness(headgate) == (200, "damaged")
    said = headgate.run("store", "check", "--by", "day", check=False)
    assert said.returncode == 1
    assert "broken-on-start_" in said.stdout
    assert said.stdout.endswith("the store differs\n")
    assert "not in the log any more" in headgate.run("store", "status").stdout
    assert "events are missing from the store" in headgate.log_file.read_text()
    # The rows are missing all the same; only the part is not told of any more.
    assert "count as settled" in headgate.run("store", "check", "--accept", check=False).stdout
    wait_until(lambda: readiness(headgate) == (200, "ok"), "the damage is settled")
    assert headgate.stop() == 0


def test_a_project_reads_its_own_rows_over_tcp(make_headgate, wait_until, monkeypatch):
    monkeypatch.setenv("HEADGATE_STORE_ENABLED", "true")
    headgate = make_headgate('[store]\naddress = "127.0.0.1:0"\n').start()
    other = headgate.json("project", "create", "Shop")
    send(headgate, "u1", "u2")
    headgate.keys = other["keys"]
    send(headgate, "v1")
    counted = "SELECT count() FROM events"
    rows = "SELECT count() AS n FROM events"
    wait_until(lambda: [int(row["n"]) for row in asked(headgate, rows)] == [3], "the events are there")
    address = json.loads((headgate.data_dir / "run/store.ready").read_text())["address"]

    def read(*chosen: str) -> str:
        who = headgate.json("store", "credential", *chosen)
        headers = {"X-ClickHouse-User": who["user"], "X-ClickHouse-Key": who["password"]}
        return httpx.post(f"http://{address}/", content=counted, headers=headers).text

    assert (read(), read("--project", "default"), read("--project", "shop")) == ("3\n", "2\n", "1\n")
    assert headgate.run("store", "credential", "--project", "nope", check=False).returncode != 0
    assert headgate.stop() == 0


def test_a_new_sink_is_filled_from_the_store_with_what_the_log_holds_no_more(
    make_headgate, wait_until, monkeypatch, short_dir
):
    monkeypatch.setenv("HEADGATE_STORE_ENABLED", "true")
    sink = '[[sinks]]\nname = "{0}"\nuse = "jsonl"\n[sinks.config]\npath = "{1}/{0}"\n'
    headgate = make_headgate(sink.format("first", short_dir)).start()
    send(headgate, *(f"u{n}" for n in range(30)))
    rows = "SELECT count() AS n FROM events"
    wait_until(lambda: [int(row["n"]) for row in asked(headgate, rows)] == [30], "the events are there")
    settled = lambda: headgate.json("sinks", "status")["sinks"]  # noqa: E731
    wait_until(lambda: all(row["pending"] == 0 for row in settled()), "every sink has settled all")
    trim_log(headgate)
    assert headgate.stop() == 0
    headgate.config.write_text(sink.format("first", short_dir) + sink.format("late", short_dir))
    headgate.start()
    chosen = ("sinks", "replay", "late", "--from", "2026-01-01")
    assert headgate.json(*chosen, "--preview")["events"] == 0
    assert headgate.json(*chosen, "--source", "store", "--preview")["picked"] == 30
    refused = headgate.run("sinks", "replay", "store", "--all", "--source", "store", check=False)
    assert (refused.returncode, "the store holds what it would be sent" in refused.stderr) == (2, True)
    assert headgate.json(*chosen, "--source", "store")["replay"]["selected"] == 30

    def lines(name: str) -> list[str]:
        files = sorted((short_dir / name).glob("*.jsonl"))
        return sorted(line for file in files for line in file.read_text().splitlines())

    wait_until(lambda: len(lines("late")) == 30, "the new sink is filled")
    assert lines("late") == lines("first")
    (replay,) = headgate.json("sinks", "replay", "status")["replays"]
    assert (replay["delivered"], replay["pending"]) == (30, 0)
    assert headgate.stop() == 0
