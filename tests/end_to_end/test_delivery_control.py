"""The operator's commands for delivery, on a whole Headgate with a target that can be made to refuse."""

import http.server
import json
import os
import subprocess
import threading
from collections.abc import Iterator

import httpx
import pytest


class Receiver:
    """Takes webhooks, but for events of the names in `refused`."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.events: list[dict] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                events = json.loads(self.rfile.read(int(self.headers["content-length"])))["data"]["events"]
                refuse = receiver.refused & {event["name"] for event in events}
                if not refuse:
                    receiver.events += events
                self.send_response(422 if refuse else 204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def names(self) -> list[str]:
        return [event["name"] for event in self.events]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


def send(headgate, *names: str) -> None:
    body = [
        {"event": name, "timestamp": "2026-02-03T15:30:00.000Z", "distinctId": "u", "sessionId": "s", "properties": {}}
        for name in names
    ]
    httpx.post(headgate.http, json=body, headers={"X-API-Key": headgate.keys["public"]}).raise_for_status()


@pytest.mark.timeout(180)
def test_an_operator_sees_stops_retries_and_replays(make_headgate, receiver, wait_until):
    headgate = make_headgate(
        f"""
        [[sinks]]
        name = "crm"
        use = "webhook"
        [sinks.config]
        url = "{receiver.url}"
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        max_events = 1
        max_age = 0
        [[sinks]]
        name = "later"
        use = "webhook"
        enabled = false
        """
    ).start()

    def row(name: str = "crm") -> dict:
        rows = headgate.json("sinks", "status")["sinks"]
        return next(one for one in rows if (one["name"], one["project"]) == (name, "default"))

    fresh = {"accepted": 0, "delivered": 0, "filtered": 0, "dead": 0, "pending": 0, "difference": 0, "lagSeconds": 0}
    same = {"name": "crm", "use": "webhook", "project": "default", "lastError": ""}
    wait_until(lambda: row() == {**same, **fresh, "state": "running"}, "the books are open")
    assert row("later") == {**same, **fresh, "name": "later", "state": "disabled"}

    receiver.refused = {"bad"}
    send(headgate, "one", "bad", "two")
    wait_until(lambda: (row()["delivered"], row()["dead"], row()["pending"]) == (2, 1, 0), "all is settled")
    assert row()["difference"] == row("jsonl")["difference"] == 0

    headgate.run("sinks", "pause", "crm")
    wait_until(lambda: row()["state"] == "paused", "it shows as paused")
    send(headgate, "three")
    wait_until(lambda: row("jsonl")["delivered"] == 4, "the other sink goes on")
    assert (row()["pending"], row()["difference"], row()["lagSeconds"] > 0) == (1, 0, True)
    assert "three" not in receiver.names()
    assert "paused by an operator" in headgate.run("sinks", "status").stdout
    headgate.run("sinks", "resume", "crm")
    wait_until(lambda: row()["delivered"] == 3, "it goes on")

    (letter,) = headgate.json("sinks", "dead-letters", "list", "crm")["deadLetters"]
    assert (letter["code"], letter["project"], letter["attempts"], letter["events"]) == ("http_422", "default", 1, 1)
    shown = headgate.json("sinks", "dead-letters", "show", letter["id"], "--project", "default")
    assert shown["event"]["name"] == "bad"
    receiver.refused = set()
    assert headgate.json("sinks", "dead-letters", "retry", "crm") == {"queued": 1, "skipped": 0}
    wait_until(lambda: (row()["delivered"], row()["dead"]) == (4, 0), "the dead letter is delivered")
    assert [one["eventId"] for one in receiver.events if one["name"] == "bad"] == [shown["event"]["eventId"]]
    assert headgate.run("sinks", "dead-letters", "list", "crm").stdout == "crm has no dead letters\n"

    assert headgate.json("sinks", "replay", "crm", "--preview") == {
        "events": 4,
        "projects": 1,
        "picked": 4,
        "lookedAt": 4,
    }
    routed = ("--route", 'event.name.startsWith("t")')
    assert headgate.json("sinks", "replay", "crm", *routed, "--preview")["picked"] == 2
    assert headgate.json("sinks", "replay", "crm", "--to", "1h", "--preview")["events"] == 0
    started = headgate.json("sinks", "replay", "crm", "--from", "1h", "--rate", "100/s")["replay"]

    def replayed() -> dict:
        (one,) = headgate.json("sinks", "replay", "status")["replays"]
        return one

    wait_until(lambda: replayed()["state"] == "done", "the replay ends")
    assert replayed() == {**started, "state": "done", "delivered": 4, "pending": 0}
    assert headgate.json("sinks", "dead-letters", "list", "crm", "--replay", started["id"]) == {"deadLetters": []}
    assert sorted(receiver.names()) == sorted(["one", "bad", "two", "three"] * 2)
    assert len({event["eventId"] for event in receiver.events}) == 4
    assert (row()["accepted"], row()["delivered"], row()["difference"]) == (4, 4, 0)

    tested = headgate.json("sinks", "test", "crm")
    assert (tested["delivered"], receiver.events[-1]["eventId"]) == (True, tested["eventId"])
    assert (receiver.events[-1]["name"], receiver.events[-1]["test"]) == ("headgate_test", True)
    assert row()["accepted"] == 4


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("sinks", "pause", "nope"), 1, "no sink is called 'nope'; configured: jsonl"),
        (("sinks", "status", "--project", "nope"), 1, "no project nope"),
        (("sinks", "replay", "jsonl", "--from", "yesterday"), 2, "is not a time"),
        (("sinks", "replay", "jsonl", "--all", "--rate", "many"), 2, "is not a rate"),
        (("sinks", "replay", "jsonl", "--from", "1m", "--to", "1h"), 2, "before `to_time`"),
        (("sinks", "replay", "jsonl", "--all", "--route", "event.nam"), 2, "nam"),
        (("sinks", "dead-letters", "list", "jsonl", "--replay", "nope"), 1, "no replay 'nope'"),
        (("sinks", "replay", "cancel", "nope"), 1, "no replay 'nope'"),
        (("sinks", "dead-letters", "show", "1-1", "--project", "default"), 1, "no dead letter 1-1"),
        (("sinks", "dead-letters", "show", "x", "--project", "default"), 1, "no dead letter x"),
        (("sinks", "dead-letters", "retry", "jsonl", "1-1"), 2, "must be named"),
        (("sinks", "dead-letters", "purge", "jsonl"), 2, "give --all"),
    ],
)
def test_what_cannot_be_done_is_said(headgate, arguments, status, said):
    done = headgate.run(*arguments, check=False)
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr


@pytest.mark.parametrize(("typed", "options", "starts"), [("n", (), 0), ("y", (), 1), ("", ("--yes",), 1)])
def test_on_a_terminal_the_count_is_confirmed(headgate, typed: str, options: tuple[str, ...], starts: int):
    before = len(headgate.json("sinks", "replay", "status")["replays"])
    person, terminal = os.openpty()
    command = [*headgate.command, "sinks", "replay", "jsonl", "--from", "2026-01-01", *options]
    with os.fdopen(person, "wb", buffering=0) as keyboard:
        asked = subprocess.Popen(
            [*command, "--data-dir", str(headgate.data_dir)],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(terminal)
        keyboard.write(f"{typed}\n".encode())
        said = "".join(asked.communicate(timeout=60))
    assert ("would be sent to jsonl. Go on?" in said) is not bool(options)
    assert asked.returncode == 0, said
    assert len(headgate.json("sinks", "replay", "status")["replays"]) == before + starts
