"""The `segment` sink: sends events as `track` calls to a source of Segment.

Segment drops a call whose `messageId` it has seen in the last 24 hours or more: an event that comes again has the same.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from headgate.v1 import event_pb2
from pydantic import Field, SecretStr, field_validator

from headgate_sinks import hookimpl
from headgate_sinks.formats.event_json import event_json
from headgate_sinks.formats.flat_event import at, event_uuid, flat_properties
from headgate_sinks.sdk.sink import Batch, Limits, Misconfigured, Outcome, Reject, Repeats, Result, Sink, Spec, TooLarge
from headgate_sinks.transport.http import WRITE_SECONDS, Answer, HttpConfig, HttpTarget, checked_url, outcome

# By Segment's documentation: of one call, of one request, and calls in a request.
_MAX_CALL_BYTES = 32 * 1024
_MAX_BODY_BYTES = 500 * 1000
_MAX_EVENTS = 2500
_CONTEXT = (
    ("ip", "request.clientIp"),
    ("userAgent", "request.userAgent"),
    ("page.url", "page.href"),
    ("page.path", "page.path"),
    ("page.title", "page.title"),
    ("page.referrer", "page.referrer"),
    ("campaign.name", "campaign.campaign"),
    ("campaign.source", "campaign.source"),
    ("campaign.medium", "campaign.medium"),
    ("campaign.term", "campaign.term"),
    ("campaign.content", "campaign.content"),
)


class SegmentConfig(HttpConfig):
    """`[sinks.config]` of a Segment source."""

    host: str = Field(
        "https://api.segment.io",
        description="Where its data lives: `https://api.segment.io`, or `https://events.eu1.segmentapis.com` for a"
        " workspace in the EU.",
    )
    write_key: SecretStr = Field(description="The source's write key: `env:NAME`, `file:PATH` or the key itself.")
    max_events: int | None = Field(None, ge=1, le=_MAX_EVENTS, description="Events a batch holds at most.")

    @field_validator("host")
    @classmethod
    def _host(cls, host: str) -> str:
        return checked_url(host)


class SegmentSink(Sink[SegmentConfig]):
    """Sends each batch as one request, without the calls that are too large."""

    use = "segment"
    Config = SegmentConfig
    # As JSON, with what Segment wants besides, events have about twice their bytes.
    spec = Spec(limits=Limits(bytes=200 * 1024), repeats=Repeats.EVENT_ID, write_seconds=WRITE_SECONDS)

    _target: HttpTarget
    _headers: dict[str, str]

    async def open(self) -> None:
        self._headers = await asyncio.to_thread(self._made_headers)
        self._target = self._to()

    async def check(self) -> None:
        await asyncio.to_thread(self._made_headers)
        target = self._to()
        try:
            await target.check()
        finally:
            await target.close()

    async def write(self, batch: Batch) -> Outcome:
        # A large batch takes a while to put into JSON.
        calls = await asyncio.to_thread(written_calls, batch.events)
        large = tuple(place for place, call in enumerate(calls) if len(call) >= _MAX_CALL_BYTES)
        rejected = (Reject(large, "too_large", "Segment takes no call of 32 KB or more"),) if large else ()
        sent = [call for call in calls if len(call) < _MAX_CALL_BYTES]
        if not sent:
            return Result(rejected)
        body = b'{"batch":[' + b",".join(sent) + b"]}"
        if len(body) > _MAX_BODY_BYTES:
            return TooLarge("Segment takes no request of more than 500 KB")
        answer = await self._target.post(body, self._headers)
        return told(answer, self.place.clock(), len(batch.events), rejected)

    async def close(self) -> None:
        await self._target.close()

    def _to(self) -> HttpTarget:
        return HttpTarget(self.config.host.rstrip("/") + "/v1/batch", self.config, resolver=self.place.resolver)

    def _made_headers(self) -> dict[str, str]:
        write_key = self.place.secret(self.config.write_key)
        return {
            "authorization": "Basic " + b64encode(f"{write_key}:".encode()).decode(),
            "content-type": "application/json",
            "user-agent": "headgate-segment/1",
        }


def written_calls(events: Sequence[event_pb2.Event]) -> list[bytes]:
    """Each event as the JSON of a call."""
    return [json.dumps(call(event), ensure_ascii=False, separators=(",", ":")).encode() for event in events]


def call(event: event_pb2.Event) -> dict[str, Any]:
    """The event as Segment takes it."""
    fields = event_json(event)
    message_id = event_uuid(event)
    made: dict[str, Any] = {"type": "track", "event": event.name, "messageId": message_id}
    # No `sentAt` beside it: Segment would shift the time by the difference between the clocks.
    if "occurTime" in fields:
        made["timestamp"] = fields["occurTime"]
    if event.user_id:
        made["userId"] = event.user_id
    anonymous_id = event.anonymous_id or ("" if event.user_id else event.distinct_id or message_id)
    if anonymous_id:
        made["anonymousId"] = anonymous_id
    made["properties"] = flat_properties(fields, ())
    made["context"] = _context(fields)
    return made


def _context(fields: dict[str, Any]) -> dict[str, Any]:
    context: dict[str, Any] = {"library": {"name": "headgate", "version": "1"}}
    for path, source in _CONTEXT:
        if (value := at(fields, source)) is not None:
            part, _, name = path.rpartition(".")
            (context.setdefault(part, {}) if part else context)[name] = value
    return context


def told(answer: Answer, now: float, events: int, rejected: tuple[Reject, ...]) -> Outcome:
    """What an answer says of a batch of so many events, of which `rejected` were not sent."""
    if answer.status == 200:
        return Result(rejected)
    if answer.status == 400:
        # Of the whole request, whichever call it is about: in halves, the fault is found.
        if events > 1:
            return TooLarge("Segment answered 400 and does not say to which event")
        return Result((Reject((0,), "http_400", "Segment answered 400: the call is too large, or not in its form"),))
    said = outcome(answer, now, events, "`host` or `write_key`")
    return Misconfigured("the target does not answer as Segment does: correct `host`") if said == Result() else said


@hookimpl
def headgate_register_sinks() -> list[type[SegmentSink]]:
    return [SegmentSink]
