"""The commands that talk to a running Headgate, over a real socket to a real control DB."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import grpc
import pytest
from click.testing import Result
from headgate.v1 import event_pb2
from headgate.v1 import receipt_service_pb2 as receipts
from headgate.v1.admin_service_pb2_grpc import add_AdminServiceServicer_to_server
from headgate.v1.project_delivery_service_pb2_grpc import add_ProjectDeliveryServiceServicer_to_server
from headgate.v1.project_service_pb2_grpc import add_ProjectServiceServicer_to_server
from headgate.v1.receipt_service_pb2_grpc import ReceiptServiceServicer, add_ReceiptServiceServicer_to_server
from headgate_cli.api.admin_socket import socket_path
from headgate_cli.main import app
from headgate_service.api.admin import AdminServicer
from headgate_service.api.callers import Callers, OperatorAccess
from headgate_service.api.project_sinks import ProjectDeliveryServicer
from headgate_service.api.projects import ProjectServicer
from headgate_service.auth.audit import UNKNOWN_ORIGIN, AuditTrail
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.schema import migrate
from headgate_service.directory.directory import Directory
from headgate_service.directory.project import Project
from headgate_service.directory.snapshot import ControlChanges
from headgate_service.errors import CredentialInvalid, LogUnreachable
from headgate_service.ingest.refused_requests import RefusedRequests
from headgate_service.log.tail import Watchers
from headgate_service.model.key import KeyKind, parse_key
from headgate_service.model.rate_limit import RateLimit
from headgate_service.model.receipt import ReceiptMaker
from headgate_service.model.sink import SinkSpec
from headgate_service.projects.keyring import Keyring
from headgate_service.projects.projects import Projects
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.sink_control.dead_letters import DeadLetters
from headgate_service.sink_control.event_search import EventSearch
from headgate_service.sink_control.receipt_lookup import ReceiptLookup
from headgate_service.sink_control.sinks import Sinks, SinkTests
from typer.testing import CliRunner

Run = Callable[..., Awaitable[Result]]


class ShortTail:
    """A few events of each project, then the end of Redis."""

    async def events(self, chosen: Callable[[], Sequence[Project]], last: int) -> AsyncIterator[event_pb2.Event]:
        for project in chosen():
            for number in range(last):
                yield event_pb2.Event(
                    name=f"{project.slug}-{number}", properties_json=b'{"n":9007199254740993,"s":"\xc3\xa9"}'
                )
        raise LogUnreachable("Redis does not answer")


class OneReceipt(ReceiptServiceServicer):
    """Knows the receipt `r1`."""

    async def GetReceipt(self, request: receipts.GetReceiptRequest, context: grpc.aio.ServicerContext):  # noqa: N802
        if request.receipt != "r1":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such receipt")
        answer = receipts.GetReceiptResponse(
            receipt="r1", received=3, accepted=2, duplicate=1, durable=True, sinks=[{"sink": "jsonl", "delivered": 2}]
        )
        answer.receive_time.FromJsonString("2026-11-21T08:00:00.125Z")
        return answer


@pytest.fixture
async def directory(short_dir: Path, redis_url: str) -> AsyncIterator[Directory]:
    """A Headgate's operator side, on the data directory `short_dir`."""
    database = ControlDb(f"sqlite+aiosqlite:///{short_dir}/control.db")
    await migrate(database)
    projects = Projects(database, random=secrets.token_bytes, now_ms=lambda: 1)
    keyring = Keyring(database, random=secrets.token_bytes, now_ms=lambda: 1)
    made = Directory(ControlChanges(database), clock=time.monotonic)
    server = grpc.aio.server()
    add_AdminServiceServicer_to_server(AdminServicer(projects, made, ShortTail(), Watchers()), server)
    redis = RedisPipeline(redis_url)
    sinks = Sinks(redis, [SinkSpec(name="jsonl", when_full="expire")])
    callers = Callers(OperatorAccess(projects), lambda context: UNKNOWN_ORIGIN)
    now_ms = lambda: 1_764_057_600_000  # noqa: E731
    service = ProjectServicer(
        callers,
        projects,
        keyring,
        made,
        sinks,
        redis,
        database,
        default_rate=RateLimit(1000, 60_000),
        has_store=False,
        now_ms=now_ms,
    )
    add_ProjectServiceServicer_to_server(service, server)
    delivery = ProjectDeliveryServicer(
        callers,
        sinks,
        DeadLetters(redis),
        ShortTail(),
        now_ms,
        asyncio.Event(),
        Watchers(),
        RefusedRequests(redis),
        EventSearch(redis, ReceiptMaker(b"x" * 32), ReceiptLookup(redis, lambda _: [], lambda _: None)),
        SinkTests(redis, lambda: "e1"),
        AuditTrail(database).record,
    )
    add_ProjectDeliveryServiceServicer_to_server(delivery, server)
    add_ReceiptServiceServicer_to_server(OneReceipt(), server)
    socket_path(short_dir).parent.mkdir()
    server.add_insecure_port(f"unix:{socket_path(short_dir)}")
    await server.start()
    yield made
    await server.stop(0)
    await redis.close()


@pytest.fixture
def run(short_dir: Path, directory: Directory) -> Run:
    async def command(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, [*words, "--data-dir", str(short_dir)])

    return command


async def test_a_project_in_json(run: Run, directory: Directory) -> None:
    done = await run(
        "project", "create", "Web Shop", "--slug", "shop", "--monthly-limit", "7", "--rate-limit", "50/30s", "--json"
    )
    assert done.exit_code == 0
    made = json.loads(done.stdout)
    project = directory.project("shop")
    assert made["project"] == {"id": project.id, "slug": "shop"}
    assert {kind: parse_key(key) for kind, key in made["keys"].items()} == {
        "public": KeyKind.PUBLIC,
        "test": KeyKind.TEST,
        "secret": KeyKind.SECRET,
    }
    assert project.monthly_limit == 7
    assert (project.rate_limit.requests, project.rate_limit.window_ms) == (50, 30_000)


async def test_a_project_in_words(run: Run, directory: Directory) -> None:
    done = await run("project", "create", "Web Shop")
    assert done.exit_code == 0
    assert f"Project web-shop ({directory.project('web-shop').id})" in done.stdout
    for kind in ("public", "test", "secret"):
        assert f"  {kind}" in done.stdout
    assert directory.project("web-shop").monthly_limit is None
    assert directory.project("web-shop").rate_limit is None


async def test_a_plan_is_changed_in_its_parts(run: Run, directory: Directory) -> None:
    await run("project", "create", "p", "--monthly-limit", "7")
    done = await run("project", "plan", "p", "--rate-limit", "50/30s", "--json")
    project = directory.project("p")
    assert json.loads(done.stdout) == {
        "project": {"id": project.id, "slug": "p", "monthlyLimit": 7, "rateLimit": "50/30s"}
    }
    assert (project.monthly_limit, project.rate_limit) == (7, RateLimit(50, 30_000))
    done = await run("project", "plan", "p", "--monthly-limit", "none", "--rate-limit", "default")
    assert "no limit of events a month, the default rate limit" in done.stdout
    assert (directory.project("p").monthly_limit, directory.project("p").rate_limit) == (None, None)
    await run("project", "plan", "p", "--monthly-limit", "9")
    assert directory.project("p").monthly_limit == 9


@pytest.mark.parametrize("kind", KeyKind)
async def test_a_key_is_made_and_revoked(run: Run, directory: Directory, kind: KeyKind) -> None:
    await run("project", "create", "p")
    done = await run("key", "create", "--project", "p", "--kind", kind.value, "--json")
    made = json.loads(done.stdout)
    opened = {"allProjects", "projects"} if kind is KeyKind.ORGANISATION else set()
    assert set(made) == {"key", "id"} | opened
    credential = await directory.find(made["key"])
    assert (credential.id, credential.kind) == (made["id"], kind)
    assert credential.scopes == ({"events:write"} if kind is KeyKind.ORGANISATION else set())
    assert (await run("key", "revoke", made["id"])).exit_code == 0
    with pytest.raises(CredentialInvalid):
        await directory.find(made["key"])
    again = await run("key", "revoke", made["id"], "--json")
    assert json.loads(again.stdout) == {"id": made["id"], "revoked": True}


async def test_a_key_is_rotated_with_two_live_at_once(run: Run, directory: Directory) -> None:
    await run("project", "create", "p")
    scopes = ("--scope", "logs:read")
    old = json.loads((await run("key", "create", "--project", "p", "--kind", "organisation", *scopes, "--json")).stdout)
    new = json.loads((await run("key", "rotate", old["id"], "--json")).stdout)
    assert new["replaces"] == old["id"] != new["id"]
    assert (await directory.find(new["key"])).scopes == {"logs:read"}
    assert (await directory.find(old["key"])).id == old["id"]
    await run("key", "revoke", old["id"])
    assert (await directory.find(new["key"])).id == new["id"]
    with pytest.raises(CredentialInvalid):
        await directory.find(old["key"])
    listed = json.loads((await run("key", "list", "--project", "p", "--json")).stdout)["keys"]
    assert [key["kind"] for key in listed] == ["public", "test", "secret", "organisation", "organisation"]
    assert [key["id"] for key in listed if key["revokedAt"]] == [old["id"]]
    # What is listed opens nothing.
    assert old["key"] not in json.dumps(listed)
    assert new["key"] not in json.dumps(listed)


async def test_projects_are_listed_shown_changed_and_ended(run: Run, directory: Directory) -> None:
    await run("project", "create", "Web Shop", "--slug", "shop", "--monthly-limit", "7")
    await run("project", "create", "Blog")
    listed = json.loads((await run("project", "list", "--json")).stdout)["projects"]
    assert [project["slug"] for project in listed] == ["blog", "shop"]
    done = await run("project", "update", "shop", "--name", "Shop", "--timezone", "Europe/Berlin", "--json")
    shown = json.loads((await run("project", "show", "shop", "--json")).stdout)
    assert shown == json.loads(done.stdout)
    project = shown["project"]
    assert (project["name"], project["timezone"], project["monthlyLimit"]) == ("Shop", "Europe/Berlin", 7)
    assert (project["organisation"], project["role"]) == ("shop", None)
    report = json.loads((await run("project", "delete", "shop", "--yes", "--json")).stdout)
    assert report == {
        "project": {"id": project["id"], "slug": "shop"},
        "removed": {"keys": 3, "members": 0, "deploys": 0},
        "log": {"events": 0, "bytes": 0, "deadLetters": 0},
        "sinks": [{"name": "jsonl", "pending": 0}],
        "storedEventsDeleted": False,
    }
    assert directory.project("shop") is None
    assert [one["slug"] for one in json.loads((await run("project", "list", "--json")).stdout)["projects"]] == ["blog"]
    assert (await run("project", "create", "again", "--slug", "shop")).exit_code == 1


async def test_every_change_is_in_the_audit_log(run: Run) -> None:
    await run("project", "create", "p")
    await run("project", "plan", "p", "--monthly-limit", "9")
    key = json.loads((await run("key", "create", "--project", "p", "--kind", "test", "--json")).stdout)["id"]
    await run("key", "revoke", key)
    await run("key", "revoke", key)
    log = json.loads((await run("audit", "--project", "p", "--json")).stdout)["audit"]
    assert [(row["who"], row["what"], row["target"]) for row in log] == [
        ("operator", "key.revoke", key),
        ("operator", "key.create", f"{key} test"),
        ("operator", "plan.set", "9 events a month, rate default"),
        ("operator", "project.create", "p"),
    ]
    earlier = await run("audit", "--project", "p", "--limit", "1", "--before", str(log[2]["id"]), "--json")
    assert json.loads(earlier.stdout)["audit"] == log[3:]


async def test_usage_of_one_project_and_of_all(run: Run) -> None:
    await run("project", "create", "a", "--monthly-limit", "9")
    await run("project", "create", "b")
    found = json.loads((await run("usage", "--project", "a", "--json")).stdout)
    assert (found["used"], found["limit"], found["remaining"], found["rateLimit"]) == (0, 9, 9, "1000/60s")
    every = json.loads((await run("usage", "--json")).stdout)["projects"]
    assert [(row["project"], row["limit"]) for row in every] == [("a", 9), ("b", None)]
    assert "no limit" in (await run("usage", "--project", "b", "--by", "hour")).stdout


async def test_an_organisation_key_with_scopes(run: Run, directory: Directory) -> None:
    await run("project", "create", "p")
    scopes = ("--scope", "logs:read", "--scope", "events:write")
    done = await run("key", "create", "--project", "p", "--kind", "organisation", *scopes)
    assert "scopes events:write logs:read" in done.stdout
    assert "opens the project p." in done.stdout
    key = done.stdout.split()[-1]
    assert (await directory.find(key)).scopes == {"logs:read", "events:write"}


async def test_what_an_organisation_key_opens_is_said_and_decided(run: Run, directory: Directory) -> None:
    await run("project", "create", "acme")
    await run("project", "create", "acme-eu", "--organisation", "acme")
    await run("project", "create", "bravo")
    assert (await run("project", "create", "x", "--organisation", "nowhere")).exit_code == 1
    done = await run("key", "create", "--project", "acme", "--kind", "organisation", "--all-projects")
    assert "opens every project of its organisation, now acme, acme-eu." in done.stdout
    text = done.stdout.split()[-1]
    key = (await directory.find(text)).id
    assert (await run("key", "bind", key)).stdout == f"Key {key} opens the project acme.\n"
    await directory.refresh()
    assert not (await directory.find(text)).all_projects
    listed = json.loads((await run("key", "list", "--project", "acme", "--json")).stdout)["keys"]
    assert [(one["allProjects"], one["projects"]) for one in listed if one["id"] == key] == [(False, ["acme"])]
    rotated = json.loads((await run("key", "rotate", key, "--json")).stdout)["key"]
    assert not (await directory.find(rotated)).all_projects
    public = next(one["id"] for one in listed if one["kind"] == "public")
    assert (await run("key", "bind", public)).exit_code == 2


async def test_the_tail_is_a_line_of_json_an_event(run: Run) -> None:
    await run("project", "create", "a")
    await run("project", "create", "b")
    done = await run("events", "tail", "--project", "b", "--project", "a", "--last", "2")
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["name"] for event in shown] == ["b-0", "b-1", "a-0", "a-1"]
    assert shown[0]["properties"] == {"n": 9007199254740993, "s": "é"}
    # What ended it is said, and apart from the events.
    assert done.exit_code == 1
    assert "Redis does not answer" in done.stderr


async def test_a_receipt(run: Run) -> None:
    done = await run("receipt", "r1", "--json")
    assert json.loads(done.stdout) == {
        "receipt": "r1",
        "received": 3,
        "accepted": 2,
        "duplicate": 1,
        "dropped": 0,
        "refused": 0,
        "durable": True,
        "receivedAt": "2026-11-21T08:00:00.125Z",
        "sinks": [{"sink": "jsonl", "pending": 0, "delivered": 2, "filtered": 0, "dead": 0}],
    }
    shown = (await run("receipt", "r1")).stdout
    assert "3 received at 2026-11-21T08:00:00.125Z: 2 accepted, 1 duplicate" in shown
    assert shown.splitlines()[-1].split() == ["jsonl", "0", "2", "0", "0"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("project", "create", "taken"), 1, "slug taken is taken"),
        (("project", "create", " "), 2, "name"),
        (("project", "create", "p", "--slug", "No"), 2, "slug"),
        (("project", "create", "p", "--monthly-limit", "0"), 2, "monthly-limit"),
        (("project", "create", "p", "--rate-limit", "many"), 2, "1000/60s"),
        (("project", "create", "p", "--rate-limit", "0/60s"), 2, "rate_limit.requests"),
        (("project", "create"), 2, "NAME"),
        (("project", "plan", "taken"), 2, "--monthly-limit"),
        (("project", "plan", "taken", "--monthly-limit", "many"), 2, "many"),
        (("project", "plan", "taken", "--monthly-limit", "0"), 2, "neither a number"),
        (("project", "plan", "taken", "--rate-limit", "0/60s"), 2, "rate_limit.requests"),
        (("project", "plan", "nope", "--monthly-limit", "none"), 1, "no project nope"),
        (("key", "create", "--project", "nope", "--kind", "public"), 1, "no project nope"),
        (("key", "create", "--project", "taken", "--kind", "golden"), 2, "golden"),
        (("key", "create", "--project", "taken", "--kind", "public", "--scope", "logs:read"), 2, "scopes"),
        (("key", "create", "--project", "taken", "--kind", "organisation", "--scope", "x:y"), 2, "x:y"),
        (("key", "revoke", "key_nope"), 1, "no key has that id"),
        (("key", "rotate", "key_nope"), 1, "no key has that id"),
        (("key", "list", "--project", "nope"), 1, "no project nope"),
        (("project", "show", "nope"), 1, "no project nope"),
        (("project", "update", "taken"), 2, "--name"),
        (("project", "update", "taken", "--timezone", "Mars"), 2, "time_zone"),
        (("project", "delete", "taken"), 2, "--yes"),
        (("project", "delete", "nope", "--yes"), 1, "no project nope"),
        (("member", "set", "a@b.c", "owner", "--project", "taken"), 1, "a@b.c"),
        (("member", "set", "a@b.c", "king", "--project", "taken"), 2, "king"),
        (("member", "remove", "a@b.c", "--project", "taken"), 1, "not a member"),
        (("usage", "--project", "nope"), 1, "no project nope"),
        (("audit", "--project", "nope"), 1, "no project nope"),
        (("events", "tail", "--project", "nope"), 1, "no project nope"),
        (("receipt", "r2"), 1, "no such receipt"),
    ],
)
async def test_what_fails_is_said_on_stderr_with_its_status(
    run: Run, words: tuple[str, ...], status: int, said: str
) -> None:
    await run("project", "create", "taken")
    done = await run(*words)
    assert done.exit_code == status
    assert said in " ".join(done.stderr.split())
    assert done.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ("project", "create", "p"),
        ("key", "revoke", "key_1"),
        ("events", "tail"),
        ("receipt", "r1"),
        ("key", "create", "--project", "p", "--kind", "public"),
    ],
)
def test_where_no_headgate_runs_it_says_how_to_start_one(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 1
    assert "no Headgate runs on ./headgate-data: start one with `headgate up`" in done.stderr
    assert done.stdout == ""


def test_a_socket_that_a_dead_headgate_left_is_told_from_a_living_one(short_dir: Path) -> None:
    socket_path(short_dir).parent.mkdir()
    socket_path(short_dir).touch()
    done = CliRunner().invoke(app, ["key", "revoke", "key_1", "--data-dir", str(short_dir)])
    assert done.exit_code == 1
    assert f"no Headgate runs on {short_dir}: start one with `headgate up --data-dir {short_dir}`" in done.stderr
