"""The mixpanel sink against a server that takes what Mixpanel's documentation says of /import, and nothing else."""

import json
import re
from base64 import b64decode
from pathlib import Path

import pytest
from aiohttp import web
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import event_pb2
from headgate_sinks import Batch, Misconfigured, Outcome, Place, Reject, Result, Retry, TooLarge
from headgate_sinks.mixpanel import MixpanelConfig, MixpanelSink
from pydantic import ValidationError

TOKEN = "s3cret-token"
ACCOUNT = {"project_id": "117", "username": "headgate", "secret": "s3cret-password"}
PLACEHOLDERS = {"anon", "anonymous", "nil", "none", "null", "n/a", "00000000-0000-0000-0000-000000000000"}


class Mixpanel:
    """Keeps an event once by name, time, distinct id and insert id; names what fails its checks, and keeps the rest."""

    def __init__(self, vendor):
        self.vendor, self.url = vendor, vendor.url
        self.kept: dict[tuple, dict] = {}
        self.answer: web.Response | None = None
        vendor.handle = self.handle

    def handle(self, request, body):
        if self.answer is not None:
            return self.answer
        assert (request.method, request.path, request.query["strict"]) == ("POST", "/import", "1")
        assert request.content_type == "application/json"
        # The server has unpacked it by the time it is here.
        assert request.headers["Content-Encoding"] == "gzip"
        user = b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        if (user, request.query.get("project_id")) not in (
            (f"{TOKEN}:", None),
            ("headgate:s3cret-password", "117"),
        ):
            return web.json_response({"code": 401, "error": "Unauthorized", "status": "Unauthorized"}, status=401)
        events = json.loads(body)
        if len(body) > 10_000_000 or len(events) > 2000:
            return web.json_response({"code": 413, "status": "Request Entity Too Large"}, status=413)
        failed = []
        for index, event in enumerate(events):
            if fault := self.fault(event):
                field, message = fault
                insert_id = event["properties"].get("$insert_id")
                failed.append({"index": index, "insert_id": insert_id, "field": field, "message": message})
            else:
                own = event["properties"]
                self.kept[event["event"], own["time"], own["distinct_id"], own["$insert_id"]] = event
        imported = len(events) - len(failed)
        if failed:
            error = "some data points in the request failed validation"
            said = {"code": 400, "error": error, "failed_records": failed, "status": "Bad Request"}
            return web.json_response({**said, "num_records_imported": imported}, status=400)
        return web.json_response({"code": 200, "num_records_imported": imported, "status": "OK"})

    def fault(self, event):
        assert set(event) == {"event", "properties"}
        own = event["properties"]
        if not event["event"]:
            return "event", "'event' must not be missing or blank"
        if type(own.get("time")) is not int or not 31_536_000_000 <= own["time"] <= 1795262400_000 + 3600_000:
            return "properties.time", "'properties.time' is invalid: must be a time since 1971"
        if type(own.get("distinct_id")) is not str or own["distinct_id"] in PLACEHOLDERS:
            return "properties.distinct_id", "'properties.distinct_id' is invalid"
        if not re.fullmatch(r"[A-Za-z0-9-]{1,36}", own.get("$insert_id", "")) or own["$insert_id"] in PLACEHOLDERS:
            return "properties.$insert_id", "'properties.$insert_id' is invalid"
        if len(own) > 255:
            return "properties", "too many properties"
        assert "token" not in own
        return None


def event(number: int = 0, **fields) -> event_pb2.Event:
    own = {"event_id": f"id-{number}", "name": "signup", "project_id": "p", "distinct_id": "u1"}
    time = Timestamp(seconds=1795262400 - number, nanos=123_456_789)
    return event_pb2.Event(**{**own, "occur_time": time, **fields})


@pytest.fixture
def mixpanel(vendor):
    return Mixpanel(vendor)


async def write(mixpanel, *events, environment=None, **config) -> Outcome:
    config = {"host": mixpanel.url, **({"token": TOKEN} if "secret" not in config else {}), **config}
    sink = MixpanelSink(MixpanelConfig(**config), Place("mixpanel", Path(), lambda: 0.0, environment or {}))
    await sink.open()
    try:
        return await sink.write(Batch("e-mixpanel-s07-000001", "e", 7, 1, 1795262400123, events))
    except (Retry, Misconfigured) as outcome:
        return outcome
    finally:
        await sink.close()


async def test_what_an_event_becomes(mixpanel):
    sent = event(
        event_id="0190A5A8-0000-7000-8000-00000000000A",
        user_id="u1",
        anonymous_id="a1",
        page=event_pb2.Page(href="https://shop.example/a", title="ä", referrer="https://x.example/"),
        request=event_pb2.Request(client_ip="203.0.113.9"),
        properties_json=b'{"n":9223372036854775807,"token":"x","time":1,"distinct_id":"y","page_title":"own"}',
    )
    assert await write(mixpanel, sent) == Result()
    (kept,) = mixpanel.kept.values()
    assert kept == {
        "event": "signup",
        "properties": {
            "n": 9223372036854775807,
            "property_token": "x",
            "property_time": 1,
            "property_distinct_id": "y",
            "page_title": "own",
            "event_id": "0190A5A8-0000-7000-8000-00000000000A",
            "project_id": "p",
            "user_id": "u1",
            "anonymous_id": "a1",
            "$current_url": "https://shop.example/a",
            "$referrer": "https://x.example/",
            "$user_id": "u1",
            "$device_id": "a1",
            "ip": "203.0.113.9",
            "time": 1795262400123,
            "distinct_id": "u1",
            "$insert_id": "0190a5a8-0000-7000-8000-00000000000a",
        },
    }


async def test_the_documented_example(mixpanel, documented):
    config = {**documented("mixpanel"), "host": mixpanel.url}
    environment = {"MIXPANEL_SECRET": ACCOUNT["secret"]}
    config |= {"project_id": ACCOUNT["project_id"], "username": ACCOUNT["username"]}
    assert await write(mixpanel, event(), environment=environment, **config) == Result()


async def test_a_service_account_or_a_token_lets_in(mixpanel):
    assert await write(mixpanel, event(1), **ACCOUNT) == Result()
    assert await write(mixpanel, event(2)) == Result()
    for wrong in ({"token": "other"}, {**ACCOUNT, "secret": "other"}):
        answer = await write(mixpanel, event(3), **wrong)
        assert isinstance(answer, Misconfigured)
        assert "credentials" in answer.message
    assert len(mixpanel.kept) == 2


async def test_an_event_that_comes_again_is_kept_once(mixpanel):
    # As after a crash between Mixpanel's answer and its record: another sink object, another batch even.
    assert await write(mixpanel, event(1), event(2), event(3)) == Result()
    assert await write(mixpanel, event(2), event(3), event(4)) == Result()
    untimed = event(5)
    untimed.ClearField("occur_time")
    assert await write(mixpanel, untimed) == await write(mixpanel, untimed) == Result()
    assert len(mixpanel.kept) == 5


async def test_only_the_records_that_fail_are_dead_letters(mixpanel):
    many = {str(number): number for number in range(300)}
    answer = await write(
        mixpanel,
        event(1),
        event(2, distinct_id="none"),
        event(3),
        event(4, occur_time=Timestamp(seconds=1)),
        event(5, properties_json=json.dumps(many).encode()),
    )
    assert answer == Result(
        (
            Reject((1,), "mixpanel_invalid", "properties.distinct_id: 'properties.distinct_id' is invalid"),
            Reject(
                (3,), "mixpanel_invalid", "properties.time: 'properties.time' is invalid: must be a time since 1971"
            ),
            Reject((4,), "mixpanel_invalid", "properties: too many properties"),
        )
    )
    assert len(mixpanel.kept) == 2


async def test_an_id_that_mixpanel_would_refuse_is_made_one_that_it_takes(mixpanel):
    ids = ["7", "none", "ä", "x" * 200, "00000000-0000-0000-0000-000000000000"]
    assert await write(mixpanel, *(event(event_id=one) for one in ids), event(event_id="7", project_id="q")) == Result()
    assert len(mixpanel.kept) == 6


@pytest.mark.parametrize("config", [{"token": TOKEN}, ACCOUNT])
async def test_a_dead_letter_never_shows_a_secret(mixpanel, config):
    error = f"{TOKEN} {ACCOUNT['secret']}"
    mixpanel.answer = web.json_response({"code": 400, "error": error}, status=400)
    (reject,) = (await write(mixpanel, event(), **config)).rejected
    assert (config.get("token") or config["secret"]) not in reject.message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"code":400,"error":"request body is not valid JSON"}', "request body is not valid JSON"),
        ("<html>", "the event is refused"),
        ('{"failed_records":[{"index":0,"message":"m"}]}', "the event is refused"),
        ('{"failed_records":[{"index":7,"message":"m"}],"num_records_imported":1}', "the event is refused"),
        ('{"failed_records":["x"],"num_records_imported":1}', "the event is refused"),
        ("[" * 100_000, "the event is refused"),
    ],
)
async def test_a_refusal_that_names_not_every_event_is_found_by_halving(mixpanel, text, reason):
    mixpanel.answer = web.Response(status=400, text=text)
    assert isinstance(await write(mixpanel, event(1), event(2)), TooLarge)
    mixpanel.answer = web.Response(status=400, text=text)
    assert await write(mixpanel, event(1)) == Result((Reject((0,), "http_400", f"Mixpanel answered 400: {reason}"),))


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (200, '{"code":200,"num_records_imported":2,"status":"OK"}', Result),
        (200, '{"code":200,"num_records_imported":1,"status":"OK"}', Retry),
        (200, "<html>", Retry),
        (302, "", Misconfigured),
        (401, "", Misconfigured),
        (403, "", Misconfigured),
        (404, "", Misconfigured),
        (413, "", TooLarge),
        (429, "", Retry),
        (500, "", Retry),
        (503, "", Retry),
    ],
)
async def test_what_an_answer_says(mixpanel, status, text, expected):
    mixpanel.answer = web.Response(status=status, text=text, headers={"Retry-After": "7"} if status == 429 else {})
    answer = await write(mixpanel, event(1), event(2))
    assert isinstance(answer, expected)
    assert "s3cret" not in getattr(answer, "message", "")
    assert getattr(answer, "after", None) == (7 if status == 429 else None)


async def test_a_request_over_the_documented_size_is_not_sent(mixpanel):
    large = b'{"x":"' + b"x" * 900_000 + b'"}'
    assert isinstance(await write(mixpanel, *(event(one, properties_json=large) for one in range(12))), TooLarge)
    assert not mixpanel.vendor.requests


async def test_checking_sends_nothing(mixpanel):
    place = Place("mixpanel", Path(), lambda: 0.0)
    await MixpanelSink(MixpanelConfig(host=mixpanel.url, token=TOKEN), place).check()
    with pytest.raises(Misconfigured, match="NO_SUCH"):
        await MixpanelSink(MixpanelConfig(host=mixpanel.url, token="env:NO_SUCH"), place).check()
    assert not mixpanel.vendor.requests


@pytest.mark.parametrize(
    "config",
    [
        {}, {"token": TOKEN, **ACCOUNT}, {"project_id": "117", "secret": "s3cret"},
        {"token": TOKEN, "project_id": "117"}, {"token": TOKEN, "host": "s3cret"}, {"token": TOKEN, "max_events": 2001},
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_without_showing_them(config):
    with pytest.raises(ValidationError) as raised:
        MixpanelConfig(**{"host": "https://api.mixpanel.com", **config})
    assert "s3cret" not in str(raised.value)


def test_no_secret_shows():
    assert "s3cret" not in repr(MixpanelConfig(host="https://api.mixpanel.com", **ACCOUNT))
