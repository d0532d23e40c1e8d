"""The `webhook` sink: posts batches, signed by the rules of Standard Webhooks, to one URL.

A receiver that remembers the `webhook-id` of what it has taken gets each event once: a batch is sent again under the
same id with the same bytes until it is answered with 2xx. Only the timestamp and the signature over it are new.
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp
import orjson
from pydantic import Field, SecretStr, field_validator
from standardwebhooks.webhooks import Webhook

from headgate_sinks import hookimpl
from headgate_sinks.batch import Batch
from headgate_sinks.event_json import event_line
from headgate_sinks.result import Misconfigured, Outcome, Reject, Result, Retry, TooLarge
from headgate_sinks.secret import SecretMissing, read_secret
from headgate_sinks.sink import Config, Repeats, Sink, Spec

LONGEST_WAIT_SECONDS = 3600.0
_DISCARDED_BYTES = 64 * 1024
_SHORTEST_KEY_BYTES = 16
_OWN_HEADERS = frozenset({"content-type", "content-length", "host", "transfer-encoding"})


class WebhookConfig(Config):
    """`[sinks.config]` of a webhook."""

    url: str = Field(description="Where batches are posted: an http or https URL. Put credentials into `headers`.")
    secret: SecretStr = Field(
        description="The signing secret, `whsec_` and base64: `env:NAME`, `file:PATH` or the secret itself."
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="Headers to add, each as `env:NAME`, `file:PATH` or the value itself."
    )
    timeout: float = Field(30.0, gt=0, le=300, description="Seconds that one request may take as a whole.")

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an absolute http or https URL")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must hold no credentials: put them into `headers`")
        return url

    @field_validator("headers")
    @classmethod
    def _headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name in headers:
            if name.lower() in _OWN_HEADERS or name.lower().startswith("webhook-"):
                raise ValueError(f"{name} is set by the sink itself")
        return headers


class WebhookSink(Sink[WebhookConfig]):
    """Posts each batch as one request."""

    use = "webhook"
    Config = WebhookConfig
    spec = Spec(concurrency=8, repeats=Repeats.BATCH_ID, when_full="expire", write_seconds=310.0)

    _session: aiohttp.ClientSession
    _signer: Webhook
    _headers: Mapping[str, str]

    async def open(self) -> None:
        self._signer, self._headers = self._credentials()
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self.config.timeout), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def check(self) -> None:
        self._credentials()

    async def write(self, batch: Batch) -> Outcome:
        now = self.place.clock()
        body = batch_body(batch)
        headers = {**self._headers, **signed_headers(self._signer, batch.id, now, body)}
        try:
            async with self._session.post(
                self.config.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                await _discard(response)
                return outcome(response.status, response.headers.get("Retry-After"), now, len(batch.events))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # The message of such an error may name the URL's query, which may be a secret.
            return Retry(f"no answer from the target: {type(error).__name__}")

    async def close(self) -> None:
        await self._session.close()

    def _credentials(self) -> tuple[Webhook, Mapping[str, str]]:
        environment = self.place.environment
        try:
            secret = read_secret(self.config.secret.get_secret_value(), environment)
            headers = {
                name: read_secret(value.get_secret_value(), environment) for name, value in self.config.headers.items()
            }
        except SecretMissing as error:
            raise Misconfigured(str(error)) from None
        if any(character in value for value in headers.values() for character in "\r\n\0"):
            raise Misconfigured("the value of a header in `headers` has more than one line")
        return Webhook(signing_key(secret)), headers


def signing_key(secret: str) -> bytes:
    """The key in a signing secret. Raises Misconfigured."""
    encoded = secret.removeprefix("whsec_")
    try:
        # Checked here, since the signer skips whatever is no base64.
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        key = b""
    if encoded == secret or len(key) < _SHORTEST_KEY_BYTES:
        raise Misconfigured(
            f"`secret` is no signing secret: it must be whsec_ and the base64 of {_SHORTEST_KEY_BYTES} bytes or more"
        )
    return key


def batch_body(batch: Batch) -> bytes:
    """The request's body: the same bytes each time for the same batch."""
    sealed = datetime.fromtimestamp(batch.seal_time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    events = b",".join(map(event_line, batch.events))
    head = orjson.dumps({"type": "events.batch", "batchId": batch.id, "timestamp": sealed.replace("+00:00", "Z")})
    return head[:-1] + b',"data":{"events":[' + events + b"]}}"


def signed_headers(signer: Webhook, batch_id: str, now: float, body: bytes) -> dict[str, str]:
    """The headers that say what is sent, under which id, when, and that it is ours."""
    # The signer takes any other zone's wall clock for UTC.
    moment = datetime.fromtimestamp(int(now), UTC)
    return {
        "content-type": "application/json",
        "user-agent": "headgate-webhook/1",
        "webhook-id": batch_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": signer.sign(batch_id, moment, body.decode()),
    }


def outcome(status: int, retry_after: str | None, now: float, events: int) -> Outcome:
    """What an HTTP status says of a batch of so many events. `now` is in seconds since 1970."""
    if 200 <= status < 300:
        return Result()
    if status == 413:
        return TooLarge("the target answered 413: the batch is too large for it")
    if status in (400, 422):
        return Result((Reject(tuple(range(events)), f"http_{status}", f"the target answered {status}"),))
    if status in (408, 425, 429) or status >= 500:
        return Retry(f"the target answered {status}", after=wait_seconds(retry_after, now))
    if 300 <= status < 400:
        return Misconfigured(f"the target answered {status}, a redirect, and none is followed: correct `url`")
    return Misconfigured(f"the target answered {status}: correct `url`, `secret` or `headers`, or the target")


def wait_seconds(retry_after: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, from 0 to an hour; None where there is none that can be read."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        # So many digits are beyond the longest wait in any case.
        seconds = float(text[:12])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


async def _discard(response: aiohttp.ClientResponse) -> None:
    """Reads a short body, so that the connection can be used again, and hangs up on a long or broken one: the status
    has said what became of the batch."""
    left = _DISCARDED_BYTES
    try:
        async for part in response.content.iter_any():
            left -= len(part)
            if left < 0:
                break
        else:
            return
    except (aiohttp.ClientError, TimeoutError, OSError):
        pass
    response.close()


@hookimpl
def headgate_register_sinks() -> list[type[WebhookSink]]:
    return [WebhookSink]
