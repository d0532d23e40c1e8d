"""The s3 sink against a local S3 server, and against one that answers as it is told."""

import asyncio
import contextlib
import gzip
import io
import json
import logging
import sys
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import boto3
import pyarrow
import pytest
from aiohttp import web
from botocore.client import BaseClient
from headgate.v1 import event_pb2
from headgate_sinks import Batch, Misconfigured, Place, Result, Retry, TooLarge, event_json
from headgate_sinks.conformance import (
    AnswerLost,
    Fault,
    NotAllowed,
    Poison,
    RateLimited,
    Refuses,
    Silent,
    SinkConformance,
    TakesOnly,
    TakesSome,
    Target,
    Unavailable,
)
from headgate_sinks.formats.event_file import event_file
from headgate_sinks.formats.event_row import COLUMNS
from headgate_sinks.s3.bucket import Answer, BucketAddress
from headgate_sinks.s3.sink import S3Config, S3Sink, object_key, outcome
from moto.server import ThreadedMotoServer
from pyarrow import parquet
from pydantic import ValidationError
from yarl import URL

NOW = 1795262400.0
KEYS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "s3cret-key"}
EVENTS = [
    event_pb2.Event(
        project_id="p",
        event_id="e0",
        name="ä",
        occur_time={"seconds": 1795262400, "nanos": 123456000},
        page={"path": "/"},
        experiment={"experiment_id": "x"},
        sample_weight=1.0,
        properties_json=b'{"big":9223372036854775807,"deep":[[{"a":null}]]}',
    ),
    event_pb2.Event(project_id="p", event_id="e1", name="n", test=True),
]
BATCH = Batch("e-lake-s07-000001", "e", 7, 1, 1795262399999, EVENTS)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def client(url: str, service: str) -> BaseClient:
    return boto3.client(
        service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="owner", aws_secret_access_key="owner"
    )


@pytest.fixture
def s3(server: str) -> Iterator[BaseClient]:
    s3 = client(server, "s3")
    s3.create_bucket(Bucket="lake")
    yield s3
    for item in s3.list_objects_v2(Bucket="lake").get("Contents", ()):
        s3.delete_object(Bucket="lake", Key=item["Key"])


class Told:
    """A server that answers as it is told, and keeps what it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[web.Request, bytes]] = []
        self.status, self.body, self.headers = 200, "", {}
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append((request, await request.read()))
        return web.Response(status=self.status, text=self.body, headers=self.headers)


@contextlib.asynccontextmanager
async def serving(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    told = Told()
    async with serving(told.handle) as told.url:
        yield told


class Door(Target):
    """Stands before the server of the tests, and passes on what it does not refuse."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.s3 = client(server, "s3")
        self.fault: Fault | None = None
        self.url = ""

    async def received(self) -> list[dict[str, Any]]:
        found = await asyncio.to_thread(objects, self.s3)
        return [json.loads(line) for content in found.values() for line in gzip.decompress(content).splitlines()]

    async def arm(self, fault: Fault | None) -> None:
        self.fault = fault

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        match self.fault:
            case Unavailable():
                return web.Response(status=503, text="<Error><Code>InternalError</Code></Error>")
            case RateLimited(after=after):
                hint = {} if after is None else {"Retry-After": str(int(after))}
                return web.Response(status=503, text="<Error><Code>SlowDown</Code></Error>", headers=hint)
            case NotAllowed():
                return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>")
            case TakesOnly(events=most) if gzip.decompress(body).count(b"\n") > most:
                return web.Response(status=400, text="<Error><Code>EntityTooLarge</Code></Error>")
            case Silent():
                await asyncio.Event().wait()
        url = URL(f"{self.server}{request.raw_path}", encoded=True)
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, url, data=body, headers=request.headers) as answer,
        ):
            if self.fault == AnswerLost() and request.transport:
                request.transport.close()
            return web.Response(status=answer.status, body=await answer.read())


class TestConformance(SinkConformance):
    sink = S3Sink
    cannot: ClassVar = {
        Refuses: "a bucket knows no events, and refuses none for what is in it",
        Poison: "a bucket knows no events, and refuses none for what is in it",
        TakesSome: "an object is put as a whole",
    }
    server: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _with_server(self, server: str, s3: BaseClient) -> None:
        type(self).server = server

    @contextlib.asynccontextmanager
    async def target(self, folder: Path) -> AsyncIterator[Door]:
        door = Door(self.server)
        async with serving(door.handle) as door.url:
            yield door

    def config(self, target: Door) -> dict[str, Any]:
        return {"bucket": "lake", "endpoint_url": target.url, **KEYS, "session_token": "env:TOKEN"}

    def environment(self, target: Door) -> dict[str, str]:
        return {"TOKEN": "t0ken-of-the-lake"}


def make(url: str, environment: dict[str, str] | None = None, **config: Any) -> S3Sink:
    given = {"bucket": "lake", "endpoint_url": url, **KEYS, **config}
    return S3Sink(S3Config(**given), Place("lake", Path(), lambda: NOW, environment or {}))


async def once(sink: S3Sink, batch: Batch = BATCH) -> object:
    try:
        await sink.open()
        return await sink.write(batch)
    except Misconfigured as error:
        return error
    finally:
        await sink.close()


def objects(s3: BaseClient) -> dict[str, bytes]:
    found = s3.list_objects_v2(Bucket="lake").get("Contents", ())
    return {item["Key"]: s3.get_object(Bucket="lake", Key=item["Key"])["Body"].read() for item in found}


async def test_the_documented_example_works(server, s3, documented):
    config = {**documented("s3"), "endpoint_url": server, "bucket": "lake"}
    environment = {"LAKE_KEY_ID": "AKIDEXAMPLE", "LAKE_KEY": "s3cret-key"}
    sink = S3Sink(S3Config(**config), Place("lake", Path(), lambda: NOW, environment))
    await sink.check()
    assert await once(sink) == Result()
    assert [*objects(s3)] == ["events/date=2026-11-21/e-lake-s07-000001.parquet"]


async def test_a_batch_is_one_object_of_lines(server, s3):
    assert await once(make(server)) == Result()
    ((key, content),) = objects(s3).items()
    assert key == "headgate/date=2026-11-21/e-lake-s07-000001.jsonl.gz"
    lines = gzip.decompress(content).splitlines()
    assert [json.loads(line) for line in lines] == [event_json(event) for event in EVENTS]
    assert s3.head_object(Bucket="lake", Key=key)["ContentType"] == "application/gzip"


async def test_lines_can_be_left_as_they_are(server, s3):
    assert await once(make(server, format="jsonl", prefix="", partition="hour")) == Result()
    ((key, content),) = objects(s3).items()
    assert key == "date=2026-11-21/hour=11/e-lake-s07-000001.jsonl"
    assert json.loads(content.splitlines()[0])["properties"]["big"] == 2**63 - 1


async def test_parquet_has_a_typed_column_for_each_field(server, s3):
    assert await once(make(server, format="parquet")) == Result()
    (content,) = objects(s3).values()
    table = parquet.read_table(io.BytesIO(content))
    assert table.column_names == [column.name for column in COLUMNS]
    assert table.schema.field("occur_time").type == pyarrow.timestamp("us", tz="UTC")
    assert not table.schema.field("event_id").nullable
    first, second = table.to_pylist()
    assert first["occur_time"] == datetime(2026, 11, 21, 12, 0, 0, 123456, UTC)
    assert (first["name"], first["page_path"], first["page_title"], first["test"]) == ("ä", "/", None, False)
    assert (first["experiment_conversion"], second["experiment_conversion"]) == (False, None)
    assert json.loads(first["properties"]) == {"big": 2**63 - 1, "deep": [[{"a": None}]]}
    assert (second["properties"], second["test"], second["occur_time"]) == (None, True, None)


async def test_a_repeated_batch_leaves_the_object_as_it_is(server, s3):
    assert await once(make(server)) == Result()
    ((key, content),) = objects(s3).items()
    s3.put_object(Bucket="lake", Key=key, Body=b"mark")
    assert await once(make(server)) == Result()
    assert objects(s3) == {key: b"mark"}
    assert content != b"mark"


async def test_the_same_batch_at_the_same_time_is_one_object(server, s3):
    assert await asyncio.gather(*(once(make(server)) for _ in range(5))) == [Result()] * 5
    assert len(objects(s3)) == 1


@pytest.mark.parametrize("file_format", ["jsonl", "jsonl.gz", "parquet"])
async def test_a_resend_is_the_same_object_whenever_it_comes(told, file_format):
    later = Batch(
        BATCH.id, "e", 7, 1, BATCH.seal_time_ms, [event_pb2.Event.FromString(e.SerializeToString()) for e in EVENTS], 2
    )
    for clock, batch in ((NOW, BATCH), (NOW + 90_000, later)):
        sink = make(told.url, format=file_format)
        sink.place = Place("lake", Path(), lambda clock=clock: clock)
        assert await once(sink, batch) == Result()
    (first, content), (second, again) = told.requests
    assert (first.path, content) == (second.path, again)
    assert first.headers["If-None-Match"] == second.headers["If-None-Match"] == "*"


def test_a_compressed_file_does_not_tell_when_it_was_made():
    assert event_file("jsonl.gz").encode(EVENTS)[4:8] == bytes(4)


@pytest.mark.parametrize("module", ["botocore.session", "pyarrow"])
async def test_a_client_that_is_not_installed_is_named(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    answer = await once(make("http://127.0.0.1:9", format="parquet"))
    assert isinstance(answer, Misconfigured)
    assert "headgate[s3,parquet]" in answer.message
    with pytest.raises(Misconfigured, match="is not installed"):
        await make("http://127.0.0.1:9", format="parquet").check()


async def test_signatures_and_rights_are_checked_by_the_server(server, s3):
    """The local server checks signatures once it is told to."""
    iam = client(server, "iam")
    iam.create_user(UserName="writer")
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}]}
    iam.put_user_policy(UserName="writer", PolicyName="put", PolicyDocument=json.dumps(allowed))
    iam.create_user(UserName="guest")
    writer, guest = (iam.create_access_key(UserName=name)["AccessKey"] for name in ("writer", "guest"))

    def check_after(requests: bytes) -> None:
        asked = urllib.request.Request(f"{server}/moto-api/reset-auth", requests, {"Content-Type": "text/plain"})  # noqa: S310
        urllib.request.urlopen(asked).close()  # noqa: S310

    def keys(key: dict[str, str], **other: str) -> dict[str, str]:
        return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"], **other}

    check_after(b"0")
    try:
        # Whoever may only put objects passes the check too.
        await make(server, **keys(writer)).check()
        assert await once(make(server, **keys(writer))) == Result()
        odd = make(server, **keys(writer), prefix="ä b/c+d=e&f", format="jsonl")
        assert await once(odd) == Result()
        for wrong, said in (
            (KEYS, "InvalidAccessKeyId"),
            (keys(writer, secret_access_key="wr0ng"), "SignatureDoesNotMatch"),
            (keys(guest), "AccessDenied"),
        ):
            answer = await once(make(server, **wrong))
            assert isinstance(answer, Misconfigured)
            assert said in answer.message
            assert "wr0ng" not in answer.message
            if said != "AccessDenied":
                with pytest.raises(Misconfigured, match=said):
                    await make(server, **wrong).check()
    finally:
        await asyncio.to_thread(check_after, b"inf")
    assert "ä b/c+d=e&f/date=2026-11-21/e-lake-s07-000001.jsonl" in objects(s3)


async def test_no_such_bucket_pauses_the_sink(server, s3):
    answer = await once(make(server, bucket="nowhere"))
    assert isinstance(answer, Misconfigured)
    assert "NoSuchBucket" in answer.message
    with pytest.raises(Misconfigured, match="NoSuchBucket"):
        await make(server, bucket="nowhere").check()


async def test_check_writes_nothing(told):
    await make(told.url).check()
    assert [request.method for request, _ in told.requests] == ["GET"]


async def test_keys_come_from_where_aws_s_own_tools_look(server, s3, monkeypatch, tmp_path):
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = AK\naws_secret_access_key = s3cret\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert await once(make(server, access_key_id=None, secret_access_key=None)) == Result()
    assert len(objects(s3)) == 1
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "absent"))
    assert "no keys" in (await once(make(server, access_key_id=None, secret_access_key=None))).message


async def test_secrets_are_read_where_they_are(told):
    sink = make(told.url, {"ID": "AKFROMENV"}, access_key_id="env:ID", session_token="t0ken")
    assert await once(sink) == Result()
    ((request, _),) = told.requests
    assert "Credential=AKFROMENV/" in request.headers["Authorization"]
    assert request.headers["X-Amz-Security-Token"] == "t0ken"
    assert "ID is not set" in (await once(make(told.url, access_key_id="env:ID"))).message
    assert "s3cret" not in repr(sink.config)
    assert "t0ken" not in repr(sink.config)


async def test_silence_is_tried_again(told):
    assert isinstance(await once(make("http://127.0.0.1:9")), Retry)
    with pytest.raises(Retry):
        await make("http://127.0.0.1:9").check()


async def test_no_redirect_is_followed(told):
    told.status, told.headers = 307, {"Location": f"{told.url}/elsewhere"}
    answer = await once(make(told.url))
    assert isinstance(answer, Misconfigured)
    assert "region" in answer.message
    assert len(told.requests) == 1


async def test_a_server_s_wish_to_wait_is_passed_on(told):
    told.status, told.headers, told.body = 503, {"Retry-After": "7"}, "<Error><Code>SlowDown</Code></Error>"
    answer = await once(make(told.url))
    assert isinstance(answer, Retry)
    assert (answer.after, "SlowDown" in answer.message) == (7, True)
    told.headers = {}
    assert (await once(make(told.url))).after is None


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (200, "", Result), (204, "", Result), (412, "PreconditionFailed", Result), (412, "", Result),
        (409, "ConditionalRequestConflict", Retry), (400, "RequestTimeout", Retry), (408, "", Retry), (429, "", Retry),
        (500, "InternalError", Retry), (503, "SlowDown", Retry), (501, "NotImplemented", Misconfigured),
        (413, "", TooLarge), (400, "EntityTooLarge", TooLarge), (301, "PermanentRedirect", Misconfigured),
        (400, "ExpiredToken", Misconfigured), (401, "", Misconfigured), (403, "AccessDenied", Misconfigured),
        (403, "RequestTimeTooSkewed", Misconfigured), (404, "NoSuchBucket", Misconfigured),
    ],
)  # fmt: skip
def test_what_an_answer_says(status, code, expected):
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>" if code else ""
    assert isinstance(outcome(Answer(status, None, body), NOW), expected)


@pytest.mark.parametrize(
    ("bucket", "endpoint", "in_path", "expected"),
    [
        ("lake", None, False, "https://lake.s3.eu-west-1.amazonaws.com/a%20b/%C3%A4"),
        ("lake", None, True, "https://s3.eu-west-1.amazonaws.com/lake/a%20b/%C3%A4"),
        ("my.lake", None, False, "https://s3.eu-west-1.amazonaws.com/my.lake/a%20b/%C3%A4"),
        ("lake", "http://minio:9000", True, "http://minio:9000/lake/a%20b/%C3%A4"),
        ("lake", "https://fra1.example.com/", False, "https://lake.fra1.example.com/a%20b/%C3%A4"),
    ],
)
def test_where_an_object_is(bucket, endpoint, in_path, expected):
    assert BucketAddress(bucket, "eu-west-1", endpoint, in_path).url("a b/ä") == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"bucket": "a/b"}, {"bucket": "a"}, {"prefix": "/a"}, {"prefix": "a//b"}, {"prefix": "a/../b"},
        {"endpoint_url": "minio:9000"}, {"endpoint_url": "https://u:p@h"}, {"endpoint_url": "https://h/path"},
        {"endpoint_url": "https://h?a=b"}, {"secret_access_key": None}, {"access_key_id": None}, {"format": "csv"},
        {"access_key_id": None, "secret_access_key": None, "session_token": "t"}, {"region": "a.evil.example/"},
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused(wrong):
    with pytest.raises(ValidationError) as refused:
        S3Config(**{"bucket": "lake", **KEYS, **wrong})
    assert "s3cret" not in str(refused.value)


def test_the_hour_is_that_of_the_promise():
    config = S3Config(bucket="lake", partition="hour", prefix="a/b")
    assert object_key(config, BATCH, "jsonl") == "a/b/date=2026-11-21/hour=11/e-lake-s07-000001.jsonl"
