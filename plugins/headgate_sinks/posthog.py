"""The `posthog` sink: sends events to a project of PostHog, in its cloud or one's own.

PostHog keeps one of the events that have the same UUID, name, distinct id and day: an event that comes again is the
same in all four, as it is made of the log alone.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Literal

from headgate.v1 import event_pb2
from pydantic import Field, SecretStr, field_validator

from headgate_sinks import hookimpl
from headgate_sinks.formats.event_json import event_json
from headgate_sinks.formats.flat_event import at, event_uuid, flat_properties
from headgate_sinks.sdk.sink import (
    Batch,
    Limits,
    Misconfigured,
    Outcome,
    Reject,
    Repeats,
    Result,
    Retry,
    Sink,
    Spec,
    TooLarge,
)
from headgate_sinks.transport.http import WRITE_SECONDS, Answer, HttpConfig, HttpTarget, checked_url, outcome

# Of a request's body, by PostHog's documentation.
_MAX_BODY_BYTES = 20 * 1000 * 1000
# Names that PostHog reads for itself: a client's property must not speak for the request.
_RESERVED = ("token", "api_key", "distinct_id")
_OWN = (
    ("$current_url", "page.href"),
    ("$host", "page.domain"),
    ("$pathname", "page.path"),
    ("$referrer", "page.referrer"),
    ("$raw_user_agent", "request.userAgent"),
    ("$ip", "request.clientIp"),
)


class PosthogConfig(HttpConfig):
    """`[sinks.config]` of a PostHog project."""

    host: str = Field(
        description="Where its events go: `https://us.i.posthog.com`, `https://eu.i.posthog.com`, or the address of"
        " one's own."
    )
    api_key: SecretStr = Field(
        description="The project's token, `phc_...`: `env:NAME`, `file:PATH` or the token itself. No personal API key."
    )
    person_profiles: Literal["identified", "always"] = Field(
        "identified",
        description="Whose events make a person profile: `identified`, those with a `user_id`, or `always` all.",
    )

    @field_validator("host")
    @classmethod
    def _host(cls, host: str) -> str:
        return checked_url(host)


class PosthogSink(Sink[PosthogConfig]):
    """Sends each batch as one request."""

    use = "posthog"
    Config = PosthogConfig
    spec = Spec(limits=Limits(events=1000), repeats=Repeats.EVENT_ID, write_seconds=WRITE_SECONDS)

    _target: HttpTarget
    _api_key: str

    async def open(self) -> None:
        self._api_key = await asyncio.to_thread(self.place.secret, self.config.api_key)
        self._target = self._to(self._api_key)

    async def check(self) -> None:
        target = self._to(await asyncio.to_thread(self.place.secret, self.config.api_key))
        try:
            await target.check()
        finally:
            await target.close()

    async def write(self, batch: Batch) -> Outcome:
        # A large batch takes a while to put into JSON.
        body = await asyncio.to_thread(self._body, batch.events)
        if len(body) > _MAX_BODY_BYTES:
            return TooLarge("PostHog takes no request of more than 20 MB")
        answer = await self._target.post(body, {"content-type": "application/json", "user-agent": "headgate-posthog/1"})
        return told(answer, self.place.clock(), len(batch.events))

    async def close(self) -> None:
        await self._target.close()

    def _to(self, api_key: str) -> HttpTarget:
        return HttpTarget(
            self.config.host.rstrip("/") + "/batch/", self.config, secret=api_key, resolver=self.place.resolver
        )

    def _body(self, events: Sequence[event_pb2.Event]) -> bytes:
        always = self.config.person_profiles == "always"
        request = {
            "api_key": self._api_key,
            "historical_migration": False,
            "batch": [record(event, always) for event in events],
        }
        return json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()


def record(event: event_pb2.Event, always_profile: bool) -> dict[str, Any]:
    """The event as PostHog takes it."""
    fields = event_json(event)
    properties = flat_properties(fields, _RESERVED)
    properties["$lib"] = "headgate"
    for name, path in _OWN:
        if (value := at(fields, path)) is not None:
            properties[name] = value
    if "$ip" not in properties:
        # Else the place of this server would count as the visitor's.
        properties["$geoip_disable"] = True
    if not (always_profile or event.user_id):
        properties["$process_person_profile"] = False
    uuid = event_uuid(event)
    made = {"event": event.name, "uuid": uuid, "distinct_id": event.distinct_id or uuid, "properties": properties}
    # No `sent_at` beside it: PostHog would shift the time by the difference between the clocks.
    if "occurTime" in fields:
        made["timestamp"] = fields["occurTime"]
    return made


def told(answer: Answer, now: float, events: int) -> Outcome:
    """What an answer says of a batch of so many events."""
    if answer.status == 200:
        return _accepted(answer.body)
    if answer.status == 400:
        # Of the whole request, whichever event it is about: in halves, the fault is found.
        if events > 1:
            return TooLarge("PostHog answered 400 and does not say to which event")
        return Result((Reject((0,), "http_400", f"PostHog answered 400: {_words(answer.body)}"),))
    return outcome(answer, now, events, "`host` or `api_key`")


def _accepted(body: bytes) -> Outcome:
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict) or said.get("status") not in (1, "Ok"):
        return Retry("the target answered 200, but not as PostHog does: look at `host` if it goes on")
    if said.get("quota_limited"):
        return Misconfigured("PostHog drops events because the project is over its billing limit: raise the limit")
    return Result()


def _words(body: bytes) -> str:
    return body[:200].decode(errors="replace")


@hookimpl
def headgate_register_sinks() -> list[type[PosthogSink]]:
    return [PosthogSink]
