"""The `s3` sink: each batch is one object in a bucket.

The object's key is made of the batch's id and the time of its promise, so that a batch which comes again has the same
key; it is put on the condition that there is no such object, and where there is one, the batch has been written.
"""

import asyncio
import re
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlencode

import aiohttp
from pydantic import Field, SecretStr, field_validator, model_validator

from headgate_sinks import hookimpl
from headgate_sinks.formats.event_file import EventFile, FileFormat, event_file
from headgate_sinks.s3.bucket import Answer, BucketAddress, Signer, make_signer, send
from headgate_sinks.sdk.sink import (
    Batch,
    Config,
    Limits,
    Misconfigured,
    Outcome,
    Repeats,
    Result,
    Retry,
    Sink,
    Spec,
    TooLarge,
)
from headgate_sinks.transport.http import WRITE_SECONDS, checked_url, wait_seconds

_PARTITIONS = {"day": "date=%Y-%m-%d", "hour": "date=%Y-%m-%d/hour=%H"}
_CODE = re.compile(r"<Code>\s*(\w{1,80})\s*</Code>")


class S3Config(Config):
    """`[sinks.config]` of an s3 sink."""

    bucket: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$", description="The bucket.")
    region: str = Field(
        "us-east-1", pattern=r"^[a-z0-9-]{1,40}$", description="The region that requests are signed for."
    )
    endpoint_url: str | None = Field(
        None, description="The server, an http or https URL without a path. Absent: AWS, in `region`."
    )
    addressing: Literal["path", "host"] | None = Field(
        None,
        description="Where URLs name the bucket. Absent: in the path at an `endpoint_url`, in the host at AWS.",
    )
    prefix: str = Field("headgate", description="What keys begin with, without slashes around it; may be empty.")
    partition: Literal["day", "hour"] = Field(
        "day", description="Whether keys tell the UTC day of a batch (`date=2026-11-21`) or its hour (`/hour=12`) too."
    )
    format: FileFormat = Field("jsonl.gz", description="The form of objects: `jsonl`, `jsonl.gz` or `parquet`.")
    access_key_id: SecretStr | None = Field(
        None, description="`env:NAME`, `file:PATH` or the key's id itself. Absent: what AWS's own tools would find."
    )
    secret_access_key: SecretStr | None = Field(
        None, description="The key's secret, in the same ways; together with `access_key_id`."
    )
    session_token: SecretStr | None = Field(None, description="The token of temporary keys, in the same ways.")
    timeout: float = Field(60.0, gt=0, le=300, description="Seconds that putting one object may take as a whole.")

    @field_validator("endpoint_url")
    @classmethod
    def _endpoint(cls, url: str | None) -> str | None:
        return None if url is None else _without_path(checked_url(url).rstrip("/"))

    @field_validator("prefix")
    @classmethod
    def _prefix(cls, prefix: str) -> str:
        if prefix and any(part in ("", ".", "..") or not part.isprintable() for part in prefix.split("/")):
            raise ValueError("must be names with single slashes between them")
        return prefix

    @model_validator(mode="after")
    def _keys(self) -> "S3Config":
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("`access_key_id` and `secret_access_key` belong together: set both or neither")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("`session_token` belongs to `access_key_id` and `secret_access_key`: set them too")
        return self


class S3Sink(Sink[S3Config]):
    """Puts each batch as one object."""

    use = "s3"
    Config = S3Config
    # Few large objects cost less than many small ones, to write and to read.
    spec = Spec(
        limits=Limits(events=10_000, bytes=8 * 1024 * 1024, age=60.0),
        concurrency=4,
        repeats=Repeats.BATCH_ID,
        when_full="expire",
        write_seconds=WRITE_SECONDS,
    )

    _session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._address = self._bucket_address()
        self._sign, self._file = await asyncio.to_thread(self._prepare)
        self._session = self._make_session()

    async def check(self) -> None:
        sign, _ = await asyncio.to_thread(self._prepare)
        url = f"{self._bucket_address().url()}?{urlencode({'list-type': '2', 'max-keys': '1'})}"
        try:
            headers = await asyncio.to_thread(sign, "GET", url, {}, b"")
            async with self._make_session() as session:
                answer = await send(session, "GET", url, headers, b"")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retry(f"no answer from the server: {type(error).__name__}") from None
        # Whoever may put objects need not be allowed to list them.
        if answer.status == 200 or error_code(answer) == "AccessDenied":
            return
        said = outcome(answer, self.place.clock())
        raise (
            said if isinstance(said, Exception) else Misconfigured(f"the server answered {answer.status} to a listing")
        )

    async def write(self, batch: Batch) -> Outcome:
        if self._session is None:
            return Retry("the sink is closed")
        url = self._address.url(object_key(self.config, batch, self._file.suffix))
        try:
            headers, body = await asyncio.to_thread(self._request, url, batch)
            answer = await send(self._session, "PUT", url, headers, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Retry(f"no answer from the server: {type(error).__name__}")
        return outcome(answer, self.place.clock())

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _make_session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=self.config.timeout)
        return aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)

    def _bucket_address(self) -> BucketAddress:
        config = self.config
        in_path = config.addressing == "path" if config.addressing else config.endpoint_url is not None
        return BucketAddress(config.bucket, config.region, config.endpoint_url, in_path)

    def _prepare(self) -> tuple[Signer, EventFile]:
        config = self.config
        given = (config.access_key_id, config.secret_access_key, config.session_token)
        try:
            keys = [None if secret is None else self.place.secret(secret) for secret in given]
            return make_signer(config.region, *keys), event_file(config.format)
        except ImportError as error:
            extras = "s3,parquet" if config.format == "parquet" else "s3"
            raise Misconfigured(f"{error.name} is not installed: pip install 'headgate[{extras}]'") from error
        except LookupError:
            raise Misconfigured("no keys were found: set `access_key_id` and `secret_access_key`") from None

    def _request(self, url: str, batch: Batch) -> tuple[dict[str, str], bytes]:
        body = self._file.encode(batch.events)
        headers = {"Content-Type": self._file.content_type, "If-None-Match": "*"}
        return self._sign("PUT", url, headers, body), body


def object_key(config: S3Config, batch: Batch, suffix: str) -> str:
    """The key of the batch's object; the same each time."""
    promised = datetime.fromtimestamp(batch.seal_time_ms / 1000, UTC)
    parts = (config.prefix, promised.strftime(_PARTITIONS[config.partition]), f"{batch.id}.{suffix}")
    return "/".join(part for part in parts if part)


def error_code(answer: Answer) -> str:
    """The code in an S3 server's answer; empty where there is none."""
    found = _CODE.search(answer.body)
    return found[1] if found else ""


def outcome(answer: Answer, now: float) -> Outcome:
    """What the answer to a put says of the batch. `now` is in seconds since 1970."""
    status, code = answer.status, error_code(answer)
    said = f"the server answered {status}{f' {code}' if code else ''}"
    # 412: there is an object of this key already, which can be no other batch's.
    if 200 <= status < 300 or status == 412:
        return Result()
    if status == 413 or code == "EntityTooLarge":
        return TooLarge(said)
    # What is not implemented is the condition, which keeps a batch from being written twice.
    if status == 501:
        return Misconfigured(f"{said}: it must support conditional writes (`If-None-Match`): use another server")
    # 409: somebody else is writing or deleting the same object at this moment.
    if status in (408, 409, 425, 429) or status >= 500 or code == "RequestTimeout":
        return Retry(said, after=wait_seconds(answer.retry_after, now))
    if 300 <= status < 400:
        return Misconfigured(f"{said}, a redirect, and none is followed: correct `region` or `endpoint_url`")
    return Misconfigured(f"{said}: correct `bucket`, `region`, the keys or their rights")


def _without_path(url: str) -> str:
    if url.count("/") != 2 or "?" in url or "#" in url:
        raise ValueError("must have no path")
    return url


@hookimpl
def headgate_register_sinks() -> list[type[S3Sink]]:
    return [S3Sink]
