"""The segment sink against a server that takes what Segment's documentation says of /v1/batch, and nothing else."""

import json
from base64 import b64decode
from pathlib import Path

import pytest
from aiohttp import web
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import event_pb2
from headgate_sinks import Batch, Misconfigured, Outcome, Place, Reject, Result, Retry, TooLarge
from headgate_sinks.segment import SegmentConfig, SegmentSink
from pydantic import ValidationError

KEY = "s3cret-key"


class Segment:
    """Keeps a call once by its message id; 400 is for the request as a whole."""

    def __init__(self, vendor):
        self.vendor, self.url = vendor, vendor.url
        self.kept: dict[str, dict] = {}
        self.answer: web.Response | None = None
        vendor.handle = self.handle

    def handle(self, request, body):
        if self.answer is not None:
            return self.answer
        assert (request.method, request.path) == ("POST", "/v1/batch")
        assert request.content_type == "application/json"
        if b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode() != f"{KEY}:":
            return web.Response(status=401)
        said = json.loads(body)
        assert set(said) == {"batch"}
        calls = [json.dumps(call, ensure_ascii=False, separators=(",", ":")).encode() for call in said["batch"]]
        if len(body) > 500_000 or len(calls) > 2500 or any(len(call) >= 32 * 1024 for call in calls):
            return web.json_response({"success": False, "message": "Exceeded payload limit"}, status=400)
        if any("poison" in call["properties"] for call in said["batch"]):
            return web.json_response({"success": False, "message": "malformed JSON"}, status=400)
        for call in said["batch"]:
            assert call["type"] == "track"
            assert call["event"]
            assert call.get("userId") or call.get("anonymousId")
            assert len(call["messageId"]) <= 100
            self.kept.setdefault(call["messageId"], call)
        return web.json_response({"success": True})


def event(number: int = 0, **fields) -> event_pb2.Event:
    own = {"event_id": f"id-{number}", "name": "signup", "project_id": "p", "distinct_id": "u1"}
    return event_pb2.Event(**{**own, "occur_time": Timestamp(seconds=1795262400), **fields})


def large(number: int, size: int) -> event_pb2.Event:
    return event(number, properties_json=b'{"x":"' + b"x" * size + b'"}')


@pytest.fixture
def segment(vendor):
    return Segment(vendor)


async def write(segment, *events, environment=None, **config) -> Outcome:
    config = {"host": segment.url, "write_key": KEY, **config}
    sink = SegmentSink(SegmentConfig(**config), Place("segment", Path(), lambda: 0.0, environment or {}))
    await sink.open()
    try:
        return await sink.write(Batch("e-segment-s07-000001", "e", 7, 1, 1795262400123, events))
    except (Retry, Misconfigured) as outcome:
        return outcome
    finally:
        await sink.close()


async def test_what_an_event_becomes(segment):
    sent = event(
        event_id="0190A5A8-0000-7000-8000-00000000000A",
        user_id="u1",
        anonymous_id="a1",
        session_id="s1",
        page=event_pb2.Page(href="https://shop.example/a", title="ä"),
        request=event_pb2.Request(client_ip="203.0.113.9", user_agent="UA"),
        campaign=event_pb2.Campaign(campaign="spring", source="news"),
        properties_json=b'{"n":9223372036854775807}',
    )
    assert await write(segment, sent) == Result()
    (kept,) = segment.kept.values()
    assert kept == {
        "type": "track",
        "event": "signup",
        "messageId": "0190a5a8-0000-7000-8000-00000000000a",
        "timestamp": "2026-11-21T12:00:00Z",
        "userId": "u1",
        "anonymousId": "a1",
        "properties": {
            "n": 9223372036854775807,
            "event_id": "0190A5A8-0000-7000-8000-00000000000A",
            "project_id": "p",
            "user_id": "u1",
            "anonymous_id": "a1",
            "session_id": "s1",
            "page_title": "ä",
            "user_agent": "UA",
            "utm_campaign": "spring",
            "utm_source": "news",
        },
        "context": {
            "library": {"name": "headgate", "version": "1"},
            "ip": "203.0.113.9",
            "userAgent": "UA",
            "page": {"url": "https://shop.example/a", "title": "ä"},
            "campaign": {"name": "spring", "source": "news"},
        },
    }


async def test_the_documented_example(segment, documented):
    config = {**documented("segment"), "host": segment.url}
    assert await write(segment, event(), environment={"SEGMENT_WRITE_KEY": KEY}, **config) == Result()
    assert len(segment.kept) == 1


async def test_an_event_that_comes_again_is_kept_once(segment):
    # As after a crash between Segment's answer and its record: another sink object, another batch even.
    assert await write(segment, event(1), event(2), event(3)) == Result()
    assert await write(segment, event(2), event(3), event(4)) == Result()
    assert len(segment.kept) == 4
    await write(segment, event(1, project_id="q"))
    assert len(segment.kept) == 5


async def test_everybody_is_somebody(segment):
    await write(segment, event(1), event(2, distinct_id=""), event(3, user_id="u"))
    distinct, nobody, person = segment.kept.values()
    assert (distinct["anonymousId"], nobody["anonymousId"]) == ("u1", nobody["messageId"])
    assert (person["userId"], person.get("anonymousId")) == ("u", None)


async def test_only_a_call_that_is_too_large_is_a_dead_letter(segment):
    dead = Reject((1,), "too_large", "Segment takes no call of 32 KB or more")
    assert await write(segment, event(1), large(2, 33_000), large(3, 31_000)) == Result((dead,))
    assert len(segment.kept) == 2
    assert (await write(segment, large(4, 33_000))).rejected[0].events == (0,)
    # The largest that is sent is one that Segment takes.
    answers = [await write(segment, large(5, size)) for size in range(32_300, 32_600, 10)]
    assert {reject.code for answer in answers for reject in answer.rejected} == {"too_large"}
    assert Result() in answers


async def test_a_request_over_the_documented_size_is_not_sent(segment):
    assert isinstance(await write(segment, *(large(number, 30_000) for number in range(17))), TooLarge)
    assert not segment.vendor.requests
    assert await write(segment, *(large(number, 30_000) for number in range(16))) == Result()


async def test_a_refused_event_is_found_by_halving(segment):
    poison = event(2, properties_json=b'{"poison":true}')
    assert isinstance(await write(segment, event(1), poison), TooLarge)
    assert not segment.kept
    (reject,) = (await write(segment, poison)).rejected
    assert (reject.events, reject.code) == ((0,), "http_400")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Result), (204, Misconfigured), (302, Misconfigured), (400, TooLarge), (401, Misconfigured),
        (404, Misconfigured), (413, TooLarge), (429, Retry), (500, Retry), (503, Retry),
    ],
)  # fmt: skip
async def test_what_an_answer_says(segment, status, expected):
    segment.answer = web.Response(status=status, headers={"Retry-After": "7"} if status == 429 else {})
    answer = await write(segment, event(1), event(2))
    assert isinstance(answer, expected)
    assert "s3cret" not in getattr(answer, "message", "")
    assert getattr(answer, "after", None) == (7 if status == 429 else None)


async def test_a_wrong_key_pauses(segment):
    assert isinstance(await write(segment, event(), write_key="other"), Misconfigured)


async def test_checking_sends_nothing(segment):
    place = Place("segment", Path(), lambda: 0.0)
    await SegmentSink(SegmentConfig(host=segment.url, write_key=KEY), place).check()
    with pytest.raises(Misconfigured, match="NO_SUCH"):
        await SegmentSink(SegmentConfig(host=segment.url, write_key="env:NO_SUCH"), place).check()
    assert not segment.vendor.requests


def test_settings_are_checked_and_show_no_secret():
    for wrong in ({"host": "x"}, {"max_events": 2501}):
        with pytest.raises(ValidationError):
            SegmentConfig(write_key=KEY, **wrong)
    assert KEY not in repr(SegmentConfig(write_key=KEY))
