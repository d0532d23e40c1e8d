"""The `webhook` sink: posts batches, signed by the rules of Standard Webhooks, to one URL.

A receiver that remembers the `webhook-id` of what it has taken gets each event once: a batch is sent again under the
same id with the same bytes until it is answered with 2xx. Only the timestamp and the signature over it are new.
"""

import asyncio
import base64
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import orjson
from pydantic import Field, SecretStr, field_validator
from standardwebhooks.webhooks import Webhook

from headgate_sinks import hookimpl
from headgate_sinks.formats.event_json import event_line
from headgate_sinks.sdk.sink import Batch, Misconfigured, Outcome, Repeats, Sink, Spec
from headgate_sinks.transport.http import WRITE_SECONDS, HttpConfig, HttpTarget, checked_url, outcome

_MIN_KEY_BYTES = 16
# They say how the request travels, or what its body is.
_OWN_HEADERS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# A token of RFC 9110.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
MAX_HEADERS = 50


class WebhookConfig(HttpConfig):
    """`[sinks.config]` of a webhook."""

    url: str = Field(description="Where batches are posted: an http or https URL. Put credentials into `headers`.")
    secret: SecretStr | tuple[SecretStr, ...] = Field(
        description="The signing secret, `whsec_` and base64: `env:NAME`, `file:PATH` or the secret itself. Or a list"
        " of them, to change it without a gap: each signs every request."
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="Headers to add, each as `env:NAME`, `file:PATH` or the value itself."
    )

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        return checked_url(url)

    @field_validator("secret")
    @classmethod
    def _secret(cls, secret: SecretStr | tuple[SecretStr, ...]) -> SecretStr | tuple[SecretStr, ...]:
        if secret == ():
            raise ValueError("must name one secret at least")
        return secret

    @field_validator("headers")
    @classmethod
    def _headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        if len(headers) > MAX_HEADERS:
            raise ValueError(f"must be at most {MAX_HEADERS} headers")
        for name in headers:
            if _HEADER_NAME.fullmatch(name) is None:
                raise ValueError(f"{name[:50]!r} is not the name of a header: write letters, digits and hyphens")
            if name.lower() in _OWN_HEADERS or name.lower().startswith("webhook-"):
                raise ValueError(f"{name} is set by the sink itself")
        return headers


class WebhookSink(Sink[WebhookConfig]):
    """Posts each batch as one request."""

    use = "webhook"
    Config = WebhookConfig
    spec = Spec(
        concurrency=8, repeats=Repeats.BATCH_ID, when_full="expire", write_seconds=WRITE_SECONDS, per_event=False
    )

    _target: HttpTarget
    _signers: Sequence[Webhook]
    _headers: Mapping[str, str]

    async def open(self) -> None:
        self._signers, self._headers = await asyncio.to_thread(self._credentials)
        self._target = HttpTarget(self.config.url, self.config, resolver=self.place.resolver)

    async def check(self) -> None:
        await asyncio.to_thread(self._credentials)
        target = HttpTarget(self.config.url, self.config, resolver=self.place.resolver)
        try:
            await target.check()
        finally:
            await target.close()

    async def write(self, batch: Batch) -> Outcome:
        now = self.place.clock()
        body = batch_body(batch)
        answer = await self._target.post(body, {**self._headers, **signed_headers(self._signers, batch.id, now, body)})
        return outcome(answer, now, len(batch.events), "`url`, `secret` or `headers`")

    async def close(self) -> None:
        await self._target.close()

    def _credentials(self) -> tuple[Sequence[Webhook], Mapping[str, str]]:
        given = self.config.secret if isinstance(self.config.secret, tuple) else (self.config.secret,)
        secrets = [self.place.secret(one) for one in given]
        headers = {name: self.place.secret(value) for name, value in self.config.headers.items()}
        for name, value in headers.items():
            if any((ord(character) < 32 and character != "\t") or character == "\x7f" for character in value):
                raise Misconfigured(f"the value of the header {name} has a control character, such as a line's end")
        return [Webhook(signing_key(secret)) for secret in secrets], headers


def signing_key(secret: str) -> bytes:
    """The key in a signing secret. Raises Misconfigured."""
    encoded = secret.removeprefix("whsec_")
    try:
        # Checked here, since the signer skips whatever is not base64.
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        key = b""
    if encoded == secret or len(key) < _MIN_KEY_BYTES:
        raise Misconfigured(
            f"`secret` is not a signing secret: it must be whsec_ and the base64 of {_MIN_KEY_BYTES} bytes or more"
        )
    return key


def batch_body(batch: Batch) -> bytes:
    """The request's body: the same bytes each time for the same batch."""
    sealed = datetime.fromtimestamp(batch.seal_time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    events = b",".join(map(event_line, batch.events))
    head = orjson.dumps({"type": "events.batch", "batchId": batch.id, "timestamp": sealed.replace("+00:00", "Z")})
    return head[:-1] + b',"data":{"events":[' + events + b"]}}"


def signed_headers(signers: Sequence[Webhook], batch_id: str, now: float, body: bytes) -> dict[str, str]:
    """The headers that say what is sent, under which id, when, and that it is ours: a signature by each secret."""
    # The signer takes any other zone's wall clock for UTC.
    moment = datetime.fromtimestamp(int(now), UTC)
    return {
        "content-type": "application/json",
        "user-agent": "headgate-webhook/1",
        "webhook-id": batch_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": " ".join(signer.sign(batch_id, moment, body.decode()) for signer in signers),
    }


@hookimpl
def headgate_register_sinks() -> list[type[WebhookSink]]:
    return [WebhookSink]
