"""The webhook sink against a real HTTP server."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from headgate.v1 import event_pb2
from headgate_sinks import Batch, Misconfigured, Outcome, Place, Reject, Result, Retry, TooLarge
from headgate_sinks.transport.http import Answer, outcome, wait_seconds
from headgate_sinks.webhook import WebhookConfig, WebhookSink, batch_body
from pydantic import ValidationError
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

SECRET = "whsec_" + "c2VjcmV0" * 4
NEW_SECRET = "whsec_" + "bmV3IGtl" * 4
NOW = 1795262400.0
BATCH = Batch("e-hook-s07-000001", "e", 7, 1, 1795262400123, [event_pb2.Event(name="ä", properties_json=b'{"n":1}')])


class Receiver:
    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answer = web.Response
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((dict(request.headers), await request.read()))
        return self.answer()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


async def write(url: str, clock=lambda: NOW, environment=None, **config) -> Outcome:
    place = Place("hook", None, clock, environment or {})
    sink = WebhookSink(WebhookConfig(url=url, **{"secret": SECRET, **config}), place)
    await sink.open()
    try:
        return await sink.write(BATCH)
    except (Misconfigured, Retry) as outcome:
        return outcome
    finally:
        await sink.close()


async def test_a_batch_is_one_signed_request_whose_body_never_changes(receiver):
    import time

    assert await write(receiver.url, time.time, headers={"X-Key": "env:KEY"}, environment={"KEY": "k"}) == Result()
    assert await write(receiver.url, lambda: time.time() + 2) == Result()
    (headers, body), (later, resent) = receiver.requests
    assert Webhook(SECRET).verify(body, headers)
    assert Webhook(SECRET).verify(resent, later)
    assert body == resent
    assert headers["webhook-id"] == later["webhook-id"] == BATCH.id
    assert headers["webhook-timestamp"] != later["webhook-timestamp"]
    assert (headers["Content-Type"], headers["X-Key"]) == ("application/json", "k")
    assert json.loads(body) == {
        "type": "events.batch",
        "batchId": BATCH.id,
        "timestamp": "2026-11-21T12:00:00.123Z",
        "data": {"events": [{"name": "ä", "properties": {"n": 1}}]},
    }


async def test_the_documented_example(receiver, documented):
    import time

    environment = {
        "CRM_HOOK_SECRET": NEW_SECRET,
        "CRM_HOOK_SECRET_BEFORE": SECRET,
        "CRM_HOOK_AUTHORIZATION": "Bearer k",
    }
    config = {**documented("webhook"), "url": receiver.url}
    assert await write(clock=time.time, environment=environment, **config) == Result()
    headers, body = receiver.requests[0]
    assert Webhook(SECRET).verify(body, headers)
    assert headers["Authorization"] == "Bearer k"


async def test_each_of_several_secrets_signs_every_request(receiver):
    import time

    assert await write(receiver.url, time.time, secret=(NEW_SECRET, SECRET)) == Result()
    headers, body = receiver.requests[0]
    assert [one[:3] for one in headers["webhook-signature"].split(" ")] == ["v1,", "v1,"]
    for secret in (NEW_SECRET, SECRET):
        assert Webhook(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "b3RoZXIh" * 4).verify(body, headers)


async def test_a_name_that_leads_into_a_private_network_is_refused_unless_that_is_allowed(receiver):
    # Numbers that resolve to 127.0.0.1, as a name could.
    disguised = receiver.url.replace("127.0.0.1", "0x7f.0.0.1")
    assert isinstance(await write(disguised), Misconfigured)
    assert isinstance(await write(receiver.url, allow_private=False), Misconfigured)
    assert not receiver.requests
    assert await write(disguised, allow_private=True) == Result()


async def test_checking_sends_nothing(receiver):
    def sink(url, **config):
        place = Place("hook", None, lambda: NOW, {})
        return WebhookSink(WebhookConfig(url=url, **{"secret": SECRET, **config}), place)

    await sink(receiver.url).check()
    with pytest.raises(Retry, match="port 9"):
        await sink("http://127.0.0.1:9/?token=s3cret").check()
    with pytest.raises(Misconfigured, match="private"):
        await sink(receiver.url, allow_private=False).check()
    with pytest.raises(Misconfigured, match="whsec_"):
        await sink(receiver.url, secret="s3cret").check()
    assert not receiver.requests


async def test_no_redirect_is_followed(receiver):
    def redirect():
        return web.Response(status=308, headers={"Location": "/elsewhere"})

    receiver.answer = redirect
    assert isinstance(await write(receiver.url), Misconfigured)
    assert len(receiver.requests) == 1


async def test_an_endless_body_is_not_read_to_its_end(receiver):
    receiver.answer = lambda: web.Response(body=b"x" * 50_000_000)
    assert await write(receiver.url, timeout=5) == Result()


async def test_silence_is_retried_and_says_nothing_secret():
    answer = await write("http://127.0.0.1:9/?token=s3cret")
    assert isinstance(answer, Retry)
    assert "s3cret" not in answer.message


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Result), (204, Result), (301, Misconfigured), (304, Misconfigured), (400, Result), (401, Misconfigured),
        (403, Misconfigured), (404, Misconfigured), (405, Misconfigured), (408, Retry), (410, Misconfigured),
        (413, TooLarge), (418, Misconfigured), (422, Result), (425, Retry), (429, Retry), (500, Retry), (503, Retry),
    ],
)  # fmt: skip
def test_what_a_status_says(status, expected):
    assert isinstance(outcome(Answer(status, None, b""), NOW, 2), expected)


def test_only_400_and_422_make_dead_letters():
    rejected = {status: outcome(Answer(status, None, b""), NOW, 2) for status in (200, 400, 422)}
    assert rejected[200] == Result()
    assert rejected[422] == Result((Reject((0, 1), "http_422", "the target answered 422"),))
    assert rejected[400] == Result((Reject((0, 1), "http_400", "the target answered 400"),))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None), ("5", 5), ("0", 0), ("99999999", 3600), ("9" * 5000, 3600), ("soon", None), ("-1", None),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30), ("Sat, 21 Nov 2026 11:00:30 GMT", 0), ("٣", None),
    ],
)  # fmt: skip
def test_how_long_to_wait(header, expected):
    assert wait_seconds(header, NOW) == expected
    assert getattr(outcome(Answer(503, header, b""), NOW, 1), "after", None) == expected


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"secret": "env:HOOK_SECRET"}, "HOOK_SECRET"),
        ({"secret": "file:/no/such/file"}, "/no/such/file"),
        ({"secret": "whsec_%%%s3cret"}, "whsec_"),
        ({"headers": {"X": "s3cret\r\nEvil: 1"}}, "header"),
    ],
)
async def test_a_config_that_only_a_person_can_mend(receiver, config, what):
    with pytest.raises(Misconfigured, match=what) as raised:
        await write(receiver.url, **config)
    assert "s3cret" not in str(raised.value)
    assert not receiver.requests


async def test_secrets_come_from_files_too(receiver, tmp_path):
    (tmp_path / "secret").write_text(SECRET + "\n")
    import time

    await write(receiver.url, time.time, secret=f"file:{tmp_path / 'secret'}")
    headers, body = receiver.requests[0]
    assert Webhook(SECRET).verify(body, headers)


@pytest.mark.parametrize(
    "config",
    [
        {"url": "ftp://x"}, {"url": "http://user:s3cret@x/"}, {"url": "/x"}, {"headers": {"webhook-id": "s3cret"}},
        {"headers": {"Content-Type": "s3cret"}}, {"headers": {"Host ": "s3cret"}}, {"headers": {"": "s3cret"}},
        {"headers": {"content-length ": "s3cret"}}, {"headers": {"X\r\nHost": "s3cret"}},
        {"headers": {"Connection": "s3cret"}}, {"headers": {"X-\u00e9": "s3cret"}},
        {"headers": {f"X-{n}": "s3cret" for n in range(51)}},
        {"unknown": "s3cret"}, {"url": "http://[::1/s3cret"}, {"secret": ()},
    ],
)  # fmt: skip
def test_a_wrong_config_is_refused_without_being_shown(config):
    with pytest.raises(ValidationError) as raised:
        WebhookConfig(**{"url": "http://x", "secret": SECRET, **config})
    assert "s3cret" not in str(raised.value)


def test_no_secret_shows():
    config = WebhookConfig(url="http://x", secret=SECRET, headers={"X": "s3cret"})
    assert "s3cret" not in repr(config)
    assert SECRET not in repr(config)


def test_the_body_is_made_of_the_batch_alone():
    assert batch_body(BATCH) == batch_body(BATCH)


async def test_what_the_target_says_is_kept(receiver):
    receiver.answer = lambda: web.Response(status=422, text='{"error":\n "no such\x00 column: ä"}' + "x" * 1000)
    answer = await write(receiver.url)
    assert isinstance(answer, Result)
    (reject,) = answer.rejected
    assert reject.message.startswith('the target answered 422: {"error": "no such column: ä"}xxx')
    assert len(reject.message.encode()) < 350
    receiver.answer = lambda: web.Response(status=503, text="down for an hour")
    answer = await write(receiver.url)
    assert isinstance(answer, Retry)
    assert answer.message == "the target answered 503: down for an hour"


async def test_secrets_that_the_target_repeats_are_not(receiver):
    basic = "Basic dXNlcjpodW50ZXIyNDI="
    receiver.answer = lambda: web.Response(status=401, text=f"bad {basic}, Bearer t0k3n-abc, hunter242")
    answer = await write(receiver.url, headers={"Authorization": basic, "X-Other": "Bearer t0k3n-abc"})
    assert isinstance(answer, Misconfigured)
    for secret in ("dXNlcjpo", "t0k3n", "hunter242"):
        assert secret not in answer.message
    assert "bad ..., ..., ..." in answer.message


async def test_no_connection_says_where_and_why():
    answer = await write("http://127.0.0.1:9/?token=s3cret")
    assert isinstance(answer, Retry)
    assert answer.message == "no answer from 127.0.0.1:9: Connection refused (ECONNREFUSED)"
