"""Two people with a project each, at the command line over HTTP; and what the end of a project means to its keys."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from click.testing import Result
from headgate.v1 import user_service_pb2 as users
from headgate.v1.user_service_pb2_grpc import UserServiceStub
from headgate_cli.api.http_api import VARIABLE
from headgate_cli.main import app
from typer.testing import CliRunner

EVENT = {"timestamp": "2026-02-01T12:00:00Z", "distinctId": "u", "sessionId": "s", "properties": {}}

Run = Callable[..., Result]


def one_time_token(headgate: Any, email: str, password: str) -> str:
    with httpx.Client(base_url=headgate.http, headers={"Origin": headgate.http}) as browser:
        assert browser.post("/api/auth/login", json={"email": email, "password": password}).status_code == 200
        return str(browser.post("/api/cli/tokens").json()["token"])


@pytest.fixture
def person(headgate: Any, tmp_path: Path) -> Callable[[str], Run]:
    """Makes a person whose command line is logged in."""

    def make(name: str) -> Run:
        email, password = f"{name}@example.com", f"the password of {name}"
        with grpc.insecure_channel(f"unix:{headgate.data_dir}/run/admin.sock") as channel:
            UserServiceStub(channel).CreateUser(users.CreateUserRequest(email=email, password=password))
        environment = {VARIABLE: str(tmp_path / f"{name}.json")}
        token = one_time_token(headgate, email, password)
        where = ["--data-dir", str(headgate.data_dir)]
        done = CliRunner().invoke(app, ["login", "-", *where], input=f"{token}\n", env=environment)
        assert (done.exit_code, done.stderr) == (0, "")
        assert token not in done.stdout
        # It works once.
        assert CliRunner().invoke(app, ["login", token, "--url", headgate.http], env=environment).exit_code == 1
        return lambda *words: CliRunner().invoke(app, list(words), env=environment)

    return make


def answer(done: Result) -> Any:
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def send(headgate: Any, key: str, name: str) -> httpx.Response:
    return httpx.post(headgate.http, headers={"X-API-Key": key}, json={"event": name, **EVENT})


def test_two_people_at_the_command_line(headgate, person):
    ada, bob = person("ada"), person("bob")
    made = answer(ada("project", "create", "Ada's Shop", "--slug", "ada-shop", "--json"))
    assert set(made) == {"project", "keys"}
    assert set(made["project"]) == {"id", "slug"}
    assert set(made["keys"]) == {"public", "test", "secret"}
    answer(bob("project", "create", "Bob's Blog", "--slug", "bob-blog", "--json"))
    assert [one["slug"] for one in answer(ada("project", "list", "--json"))["projects"]] == ["ada-shop"]
    assert answer(bob("whoami", "--json"))["user"]["email"] == "bob@example.com"

    # Ada's key is rotated: both work until the old one is revoked.
    new = answer(ada("key", "create", "--project", "ada-shop", "--kind", "public", "--json"))
    assert set(new) == {"key", "id"}
    newer = answer(ada("key", "rotate", new["id"], "--json"))
    receipt = send(headgate, new["key"], "one").headers["headgate-receipt"]
    assert send(headgate, newer["key"], "two").status_code == 200
    answer(ada("key", "revoke", new["id"], "--json"))
    assert send(headgate, new["key"], "three").status_code == 401
    assert send(headgate, newer["key"], "three").status_code == 200

    # What came of the events.
    tailed = ada("events", "tail", "--last", "2", "--no-follow")
    assert [json.loads(line)["name"] for line in tailed.stdout.splitlines()] == ["two", "three"]
    assert answer(ada("usage", "--project", "ada-shop", "--json"))["used"] == 3
    assert [row["used"] for row in answer(ada("usage", "--json"))["projects"]] == [3]
    assert "jsonl" in [row["sink"] for row in answer(ada("receipt", receipt, "--json"))["sinks"]]
    assert not any("sink" in row for row in answer(bob("receipt", receipt, "--json"))["sinks"])

    rows = {row["name"]: row for row in answer(ada("sinks", "status", "--json"))["sinks"]}
    assert {row["project"] for row in rows.values()} == {"ada-shop"}
    assert (rows["jsonl"]["accepted"], rows["jsonl"]["difference"]) == (3, 0)
    assert answer(ada("sinks", "dead-letters", "list", "jsonl", "--json")) == {"deadLetters": []}
    assert answer(ada("sinks", "dead-letters", "retry", "jsonl", "--json")) == {"queued": 0, "skipped": 0}

    # Bob sees nothing of it until he is let in, and then what a viewer sees.
    for words in (
        ("project", "show", "ada-shop"),
        ("project", "delete", "ada-shop", "--yes"),
        ("key", "list", "--project", "ada-shop"),
        ("member", "set", "bob@example.com", "owner", "--project", "ada-shop"),
        ("usage", "--project", "ada-shop"),
        ("audit", "--project", "ada-shop"),
        ("sinks", "status", "--project", "ada-shop"),
        ("sinks", "dead-letters", "purge", "jsonl", "--all", "--project", "ada-shop"),
        ("events", "tail", "--project", "ada-shop", "--no-follow"),
    ):
        done = bob(*words)
        assert (done.exit_code, done.stdout) == (1, "")
        assert "no project ada-shop" in done.stderr
    done = bob("key", "revoke", newer["id"])
    assert (done.exit_code, "no key has that id" in done.stderr) == (1, True)
    done = ada("member", "set", "bob@example.com", "viewer", "--project", "ada-shop")
    assert (done.exit_code, "invite them" in done.stderr) == (1, True)
    done = ada("member", "invite", "bob@example.com", "viewer", "--project", "ada-shop")
    invited = done.stdout.split()[-1]
    assert ada("member", "accept", invited).exit_code == 1
    assert bob("member", "accept", invited).stdout == "You are viewer of ada-shop now.\n"
    link = answer(ada("member", "invite", "eve@example.com", "viewer", "--project", "ada-shop", "--json"))["link"]
    assert bob("member", "decline", f"https://headgate.example.com{link}").exit_code == 1
    (opened,) = answer(ada("member", "invitations", "--project", "ada-shop", "--json"))["invitations"]
    answer(ada("member", "uninvite", opened["id"], "--project", "ada-shop", "--json"))
    assert answer(bob("usage", "--project", "ada-shop", "--json"))["used"] == 3
    done = bob("project", "update", "ada-shop", "--name", "Bob's")
    assert (done.exit_code, "yours is viewer" in done.stderr) == (1, True)
    assert bob("events", "tail", "--no-follow").exit_code == 2
    log = answer(ada("audit", "--project", "ada-shop", "--json"))["audit"]
    assert {(row["who"], row["by"], row["from"]) for row in log} == {
        ("ada@example.com", "cli", "127.0.0.1"),
        ("bob@example.com", "cli", "127.0.0.1"),
    }

    # Limits are the operator's; they hold without a restart.
    assert ada("project", "create", "x", "--monthly-limit", "5").exit_code == 2
    headgate.run("project", "plan", "ada-shop", "--monthly-limit", "3")
    assert send(headgate, newer["key"], "four").json()["code"] == "EVENT_LIMIT_EXCEEDED"
    assert answer(ada("usage", "--project", "ada-shop", "--json"))["remaining"] == 0
    assert answer(ada("audit", "--project", "ada-shop", "--limit", "1", "--json"))["audit"][0]["who"] == "operator"

    # The end of a project.
    report = answer(ada("project", "delete", "ada-shop", "--yes", "--json"))
    assert (report["removed"], report["log"]["events"]) == ({"keys": 4, "members": 2, "deploys": 0}, 3)
    assert send(headgate, newer["key"], "five").status_code == 401
    assert answer(ada("project", "list", "--json"))["projects"] == []

    assert answer(ada("logout", "--json")) == {"loggedOut": True, "ended": True}
    assert ada("whoami").exit_code == 1


def test_every_kind_of_key_of_a_deleted_project_is_told_that_it_is_gone(headgate):
    made = headgate.json("project", "create", "Gone")
    keys = made["keys"] | {
        "organisation": headgate.json("key", "create", "--project", "gone", "--kind", "organisation")["key"]
    }
    event = {"event": "page_visit", "page": {"href": "https://example.com/"}}

    def visit(**headers: str) -> httpx.Response:
        own = {"x-api-key": keys["organisation"], **headers}
        return httpx.post(f"{headgate.http}/api/v1/analytics/events", headers=own, json=event)

    assert visit().status_code == 200
    headgate.run("project", "delete", "gone", "--yes")
    for answered in (visit(), visit(**{"X-Headgate-Project": "default"}), visit(**{"X-Headgate-Project": "gone"})):
        assert (answered.status_code, answered.json()["code"]) == (404, "not_found")
    assert [send(headgate, keys[kind], "x").status_code for kind in ("public", "test")] == [401, 401]
