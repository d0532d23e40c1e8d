"""The `mixpanel` sink: imports events into a project of Mixpanel.

Mixpanel keeps one of the events that have the same name, time, distinct id and `$insert_id`: an event that comes again
is the same in all four, as it is made of the log alone.
"""

import asyncio
import gzip
import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import event_pb2
from pydantic import Field, SecretStr, field_validator, model_validator
from yarl import URL

from headgate_sinks import hookimpl
from headgate_sinks.formats.event_json import event_json
from headgate_sinks.formats.flat_event import at, event_uuid, flat_properties
from headgate_sinks.sdk.sink import Batch, Limits, Outcome, Reject, Repeats, Result, Retry, Sink, Spec, TooLarge
from headgate_sinks.transport.http import WRITE_SECONDS, Answer, HttpConfig, HttpTarget, checked_url, outcome

# Of one request, by Mixpanel's documentation; the bytes before compression.
_MAX_EVENTS = 2000
_MAX_BODY_BYTES = 10 * 1000 * 1000
# Room for a record about each of so many events.
_ANSWER_BYTES = 4 * 1024 * 1024
# Names that Mixpanel reads for itself: a client's property must not speak for the request.
_RESERVED = ("token", "time", "distinct_id", "$insert_id", "$user_id", "$device_id", "ip")
_OWN = (
    ("$current_url", "page.href"),
    ("$referrer", "page.referrer"),
    ("$user_id", "userId"),
    ("$device_id", "anonymousId"),
    ("ip", "request.clientIp"),
)


class MixpanelConfig(HttpConfig):
    """`[sinks.config]` of a Mixpanel project. Either `token`, or the three of a service account."""

    host: str = Field(
        description="Where its data lives: `https://api.mixpanel.com`, `https://api-eu.mixpanel.com` or"
        " `https://api-in.mixpanel.com`."
    )
    token: SecretStr | None = Field(
        None, description="The project's token: `env:NAME`, `file:PATH` or the token itself."
    )
    project_id: str | None = Field(None, description="The project's number, for a service account.")
    username: str | None = Field(None, description="The service account's name.")
    secret: SecretStr | None = Field(
        None, description="The service account's secret: `env:NAME`, `file:PATH` or the secret itself."
    )
    max_events: int | None = Field(None, ge=1, le=_MAX_EVENTS, description="Events a batch holds at most.")

    @field_validator("host")
    @classmethod
    def _host(cls, host: str) -> str:
        return checked_url(host)

    @model_validator(mode="after")
    def _one_way_in(self) -> "MixpanelConfig":
        account = (self.project_id, self.username, self.secret)
        if (self.token is None) == (None in account) or (self.token is not None and account != (None, None, None)):
            raise ValueError("give either `token`, or all of `project_id`, `username` and `secret`")
        return self


class MixpanelSink(Sink[MixpanelConfig]):
    """Sends each batch as one request."""

    use = "mixpanel"
    Config = MixpanelConfig
    spec = Spec(limits=Limits(events=_MAX_EVENTS), repeats=Repeats.EVENT_ID, write_seconds=WRITE_SECONDS)

    _target: HttpTarget
    _headers: dict[str, str]

    async def open(self) -> None:
        user, password = await asyncio.to_thread(self._credentials)
        self._headers = {
            "authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode(),
            "content-type": "application/json",
            "content-encoding": "gzip",
            "user-agent": "headgate-mixpanel/1",
        }
        self._target = self._to(password or user)

    async def check(self) -> None:
        user, password = await asyncio.to_thread(self._credentials)
        target = self._to(password or user)
        try:
            await target.check()
        finally:
            await target.close()

    async def write(self, batch: Batch) -> Outcome:
        # A large batch takes a while to put into JSON and to compress.
        body = await asyncio.to_thread(packed, batch.events, batch.seal_time_ms)
        if body is None:
            return TooLarge("Mixpanel takes no request of more than 10 MB")
        answer = await self._target.post(body, self._headers)
        return told(answer, self.place.clock(), len(batch.events))

    async def close(self) -> None:
        await self._target.close()

    def _to(self, secret: str) -> HttpTarget:
        query = {"strict": "1"} | ({"project_id": self.config.project_id} if self.config.project_id else {})
        url = URL(self.config.host.rstrip("/") + "/import").with_query(query)
        return HttpTarget(str(url), self.config, _ANSWER_BYTES, secret, self.place.resolver)

    def _credentials(self) -> tuple[str, str]:
        """A user and a password; a token is a user without one."""
        if self.config.token is not None:
            return self.place.secret(self.config.token), ""
        return self.config.username or "", self.place.secret(self.config.secret or "")


def packed(events: Sequence[event_pb2.Event], seal_time_ms: int) -> bytes | None:
    """The request's body, or None where it would be too large."""
    records = [record(event, seal_time_ms) for event in events]
    body = json.dumps(records, ensure_ascii=False, separators=(",", ":")).encode()
    return None if len(body) > _MAX_BODY_BYTES else gzip.compress(body, 3, mtime=0)


def record(event: event_pb2.Event, otherwise_ms: int) -> dict[str, Any]:
    """The event as Mixpanel takes it. `otherwise_ms`: the time of one that has none."""
    fields = event_json(event)
    properties = flat_properties(fields, _RESERVED)
    for name, path in _OWN:
        if (value := at(fields, path)) is not None:
            properties[name] = value
    properties["time"] = _milliseconds(event.occur_time) if event.HasField("occur_time") else otherwise_ms
    # Empty is Mixpanel's word for nobody.
    properties["distinct_id"] = event.distinct_id
    properties["$insert_id"] = event_uuid(event)
    return {"event": event.name, "properties": properties}


def told(answer: Answer, now: float, events: int) -> Outcome:
    """What an answer says of a batch of so many events."""
    if answer.status == 200:
        said = _object(answer.body)
        if said.get("num_records_imported") != events:
            return Retry("the target answered 200, but not as Mixpanel does: look at `host` if it goes on")
        return Result()
    if answer.status == 400:
        return _refused(answer.body, events)
    return outcome(answer, now, events, "`host` or the credentials")


def _refused(body: bytes, events: int) -> Outcome:
    """Of a 400, which names the records that failed; the others are imported."""
    said = _object(body)
    failed: dict[int, str] = {}
    for one in said.get("failed_records") or ():
        if not isinstance(one, dict) or not isinstance(one.get("index"), int) or not 0 <= one["index"] < events:
            failed = {}
            break
        failed[one["index"]] = f"{one.get('field') or 'the event'}: {one.get('message') or 'refused'}"[:300]
    if failed and said.get("num_records_imported") == events - len(failed):
        return Result(tuple(Reject((place,), "mixpanel_invalid", failed[place]) for place in sorted(failed)))
    # It speaks of the request as a whole, or not of every event: in halves, the fault is found. What was imported is
    # imported once more, and dropped.
    if events > 1:
        return TooLarge("Mixpanel answered 400 and does not say to which events")
    words = str(said.get("error") or "the event is refused")[:300]
    return Result((Reject((0,), "http_400", f"Mixpanel answered 400: {words}"),))


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _milliseconds(time: Timestamp) -> int:
    return time.seconds * 1000 + time.nanos // 1_000_000


@hookimpl
def headgate_register_sinks() -> list[type[MixpanelSink]]:
    return [MixpanelSink]
