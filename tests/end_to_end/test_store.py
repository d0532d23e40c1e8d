"""Events in the embedded store, as whoever has the data directory finds them there."""

import asyncio
import contextlib
import http.client
import json
import socket
from typing import Any
from urllib.parse import urlencode

import httpx


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
