"""The posthog sink against a server that takes what PostHog's documentation says, and nothing else."""

import json
import re
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import event_pb2
from headgate_sinks import Batch, Misconfigured, Outcome, Place, Reject, Result, Retry, TooLarge
from headgate_sinks.posthog import PosthogConfig, PosthogSink
from pydantic import ValidationError

KEY = "phc_s3cret"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Posthog:
    """Keeps an event once by its day, name, distinct id and uuid, as documented; 400 is for the request as a whole."""

    def __init__(self, vendor):
        self.vendor, self.url = vendor, vendor.url
        self.kept: dict[tuple[str, str, str, str], dict] = {}
        self.answer: web.Response | None = None
        vendor.handle = self.handle

    def handle(self, request, body):
        if self.answer is not None:
            return self.answer
        assert (request.method, request.path) == ("POST", "/batch/")
        assert request.content_type == "application/json"
        said = json.loads(body)
        assert set(said) == {"api_key", "historical_migration", "batch"}
        assert said["historical_migration"] is False
        if said["api_key"] != KEY:
            return web.Response(status=401, text="API key is invalid")
        for event in said["batch"]:
            if reason := self.fault(event):
                return web.Response(status=400, text=reason)
        for event in said["batch"]:
            self.kept[event["timestamp"][:10], event["event"], event["distinct_id"], event["uuid"]] = event
        return web.json_response({"status": 1})

    def fault(self, event):
        assert set(event) == {"event", "uuid", "distinct_id", "properties", "timestamp"}
        assert str(UUID(event["uuid"])) == event["uuid"]
        assert RFC3339.fullmatch(event["timestamp"])
        assert isinstance(event["properties"], dict)
        assert not {"token", "api_key", "distinct_id"} & set(event["properties"])
        if not event["distinct_id"]:
            return "event submitted without a distinct_id"
        return "poisoned" if event["properties"].get("poison") else None


def event(number: int = 0, **fields) -> event_pb2.Event:
    own = {"event_id": f"id-{number}", "name": "signup", "project_id": "p", "distinct_id": "u1", "user_id": "u1"}
    return event_pb2.Event(**{**own, "occur_time": Timestamp(seconds=1795262400 + number), **fields})


@pytest.fixture
def posthog(vendor):
    return Posthog(vendor)


async def write(posthog, *events, environment=None, **config) -> Outcome:
    config = {"host": posthog.url, "api_key": KEY, **config}
    place = Place("posthog", Path(), lambda: 0.0, environment or {})
    sink = PosthogSink(PosthogConfig(**config), place)
    await sink.open()
    try:
        return await sink.write(Batch("e-posthog-s07-000001", "e", 7, 1, 1795262400123, events))
    except (Retry, Misconfigured) as outcome:
        return outcome
    finally:
        await sink.close()


async def test_what_an_event_becomes(posthog):
    sent = event(
        event_id="0190A5A8-0000-7000-8000-00000000000A",
        session_id="s1",
        page=event_pb2.Page(href="https://shop.example/a?b", domain="shop.example", path="/a", title="ä"),
        request=event_pb2.Request(user_agent="UA", client_ip="203.0.113.9"),
        campaign=event_pb2.Campaign(source="news"),
        sample_weight=2,
        properties_json=b'{"n":9223372036854775807,"token":"x","distinct_id":"y","$ip":"z","page_title":"own"}',
    )
    assert await write(posthog, sent) == Result()
    (kept,) = posthog.kept.values()
    assert kept == {
        "event": "signup",
        "uuid": "0190a5a8-0000-7000-8000-00000000000a",
        "distinct_id": "u1",
        "timestamp": "2026-11-21T12:00:00Z",
        "properties": {
            "n": 9223372036854775807,
            "property_token": "x",
            "property_distinct_id": "y",
            "page_title": "own",
            "page_path": "/a",
            "page_domain": "shop.example",
            "event_id": "0190A5A8-0000-7000-8000-00000000000A",
            "project_id": "p",
            "user_id": "u1",
            "session_id": "s1",
            "user_agent": "UA",
            "utm_source": "news",
            "sample_weight": 2.0,
            "$lib": "headgate",
            "$current_url": "https://shop.example/a?b",
            "$host": "shop.example",
            "$pathname": "/a",
            "$raw_user_agent": "UA",
            "$ip": "203.0.113.9",
        },
    }


async def test_the_documented_example(posthog, documented):
    config = {**documented("posthog"), "host": posthog.url}
    assert await write(posthog, event(), environment={"POSTHOG_TOKEN": KEY}, **config) == Result()
    assert len(posthog.kept) == 1


async def test_an_event_that_comes_again_is_kept_once(posthog):
    # As after a crash between PostHog's answer and its record: another sink object, another batch even.
    assert await write(posthog, event(1), event(2), event(3)) == Result()
    assert await write(posthog, event(2), event(3), event(4)) == Result()
    assert len(posthog.kept) == 4


async def test_an_id_that_is_no_uuid_is_told_apart_by_project(posthog):
    nil = "00000000-0000-0000-0000-000000000000"
    await write(posthog, event(event_id="7"), event(event_id="7", project_id="q"), event(event_id=nil))
    assert len(posthog.kept) == 3
    assert nil not in {key[3] for key in posthog.kept}


async def test_an_event_of_nobody_makes_no_person(posthog):
    await write(posthog, event(1, user_id="", distinct_id=""), event(2, user_id=""), event(3))
    nobody, anonymous, person = posthog.kept.values()
    assert nobody["distinct_id"] == nobody["uuid"]
    assert (
        nobody["properties"]["$process_person_profile"] is anonymous["properties"]["$process_person_profile"] is False
    )
    assert "$process_person_profile" not in person["properties"]
    # This server is not where the visitor is.
    assert person["properties"]["$geoip_disable"] is True
    posthog.kept.clear()
    await write(posthog, event(2, user_id=""), person_profiles="always")
    assert "$process_person_profile" not in next(iter(posthog.kept.values()))["properties"]


async def test_a_refused_event_is_found_by_halving(posthog):
    poison = event(2, properties_json=b'{"poison":true}')
    assert isinstance(await write(posthog, event(1), poison), TooLarge)
    assert not posthog.kept
    assert await write(posthog, poison) == Result((Reject((0,), "http_400", "PostHog answered 400: poisoned"),))
    assert await write(posthog, event(1)) == Result()


@pytest.mark.parametrize(
    ("status", "text", "expected", "words"),
    [
        (200, '{"status":1}', Result, ""),
        (200, '{"status":"Ok"}', Result, ""),
        (200, '{"status":1,"quota_limited":["events"]}', Misconfigured, "billing"),
        (200, "<html>", Retry, "host"),
        (200, "[]", Retry, "host"),
        (200, '{"status":0}', Retry, "host"),
        (302, "", Misconfigured, "redirect"),
        (401, "", Misconfigured, "api_key"),
        (404, "", Misconfigured, "host"),
        (413, "", TooLarge, ""),
        (429, "", Retry, "429"),
        (500, "", Retry, "500"),
        (503, "", Retry, "503"),
    ],
)
async def test_what_an_answer_says(posthog, status, text, expected, words):
    posthog.answer = web.Response(status=status, text=text, headers={"Retry-After": "7"} if status == 429 else {})
    answer = await write(posthog, event(1), event(2))
    assert isinstance(answer, expected)
    assert words in getattr(answer, "message", "")
    assert KEY not in getattr(answer, "message", "")
    assert getattr(answer, "after", None) == (7 if status == 429 else None)


async def test_a_wrong_token_pauses(posthog):
    assert isinstance(await write(posthog, event(), api_key="phc_other"), Misconfigured)


async def test_a_dead_letter_never_shows_the_token(posthog):
    posthog.answer = web.Response(status=400, text=f"cannot parse {KEY}")
    (reject,) = (await write(posthog, event())).rejected
    assert reject.message == "PostHog answered 400: cannot parse ..."


async def test_no_answer_is_retried(posthog):
    assert isinstance(await write(posthog, event(), host="http://127.0.0.1:9"), Retry)


async def test_a_host_inside_the_network_needs_leave(posthog):
    assert isinstance(await write(posthog, event(), allow_private=False), Misconfigured)
    assert not posthog.vendor.requests


async def test_checking_sends_nothing(posthog):
    place = Place("posthog", Path(), lambda: 0.0)
    await PosthogSink(PosthogConfig(host=posthog.url, api_key=KEY), place).check()
    with pytest.raises(Misconfigured, match="NO_SUCH"):
        await PosthogSink(PosthogConfig(host=posthog.url, api_key="env:NO_SUCH"), place).check()
    assert not posthog.vendor.requests


def test_settings_are_checked_and_show_no_secret():
    with pytest.raises(ValidationError):
        PosthogConfig(host="eu.i.posthog.com", api_key=KEY)
    assert KEY not in repr(PosthogConfig(host="https://eu.i.posthog.com", api_key=KEY))
