"""What a sink sees of its events, over resends, dead letters and retries."""

import json
from dataclasses import replace

from aiohttp import web
from headgate_service.model.event_view import Fields


def cut(sink, **choice):
    return replace(sink, fields=Fields(**choice))


def sent_events(target) -> list[dict]:
    return [event for bodies in target.bodies.values() for event in json.loads(bodies[-1])["data"]["events"]]


async def test_a_sink_sees_what_is_chosen_for_it_and_others_see_everything(rig, producer, target, balanced):
    async with rig.forwarding(rig.config(rig.jsonl(), cut(rig.webhook(), rename={"padding": "filling"}))):
        await producer.append("a", 3, padding=2)
        await rig.eventually(lambda: target.taken == producer.sent, "the webhook")
        await rig.eventually(lambda: rig.lines() == producer.sent, "the files")
        await balanced("jsonl", "hook")
    assert [event["properties"] for event in sent_events(target)] == [{"filling": "xx"}] * 3
    (file,) = (rig.data_dir / "events").glob("*.jsonl")
    assert {json.dumps(json.loads(line)["properties"]) for line in file.read_text().splitlines()} == {
        '{"padding": "xx"}'
    }


async def test_a_promised_batch_stays_as_it_is_when_the_choice_changes(rig, producer, target):
    target.refuse = lambda request, body: web.Response(status=503)
    await producer.append("a", 4, padding=2)
    async with rig.forwarding(rig.config(cut(rig.webhook(), rename={"padding": "filling"}), drain=0.1)):
        await rig.eventually(lambda: target.bodies, "a first attempt")
    target.refuse = lambda request, body: None
    async with rig.forwarding(rig.config(cut(rig.webhook(), exclude=("properties",)))):
        await producer.append("a", 1, padding=2)
        await rig.eventually(lambda: target.taken == producer.sent, "the old batch, then the new one")
    target.assert_resends_are_identical()
    assert [event.get("properties") for event in sent_events(target)] == [{"filling": "xx"}] * 4 + [None]
