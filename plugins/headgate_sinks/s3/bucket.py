"""A bucket at any server that speaks S3: objects are put by signed requests, and only where there are none."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

_MAX_BODY_CHARACTERS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its status, its Retry-After header, and the start of its body."""

    status: int
    retry_after: str | None
    body: str


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """Where a bucket is. Without an endpoint it is at AWS."""

    bucket: str
    region: str
    endpoint: str | None
    in_path: bool

    def url(self, key: str = "") -> str:
        """The URL of the object with that key, encoded as it is signed; without one, of the bucket."""
        scheme, _, host = (self.endpoint or f"https://s3.{self.region}.amazonaws.com").rstrip("/").partition("://")
        path = quote(key, safe="/-._~")
        # A dot in a bucket's name would be one label too many for the server's certificate.
        if self.in_path or "." in self.bucket:
            return f"{scheme}://{host}/{self.bucket}/{path}".rstrip("/")
        return f"{scheme}://{self.bucket}.{host}/{path}"


Signer = Callable[[str, str, Mapping[str, str], bytes], dict[str, str]]
"""Method, URL, headers and body to the headers to send. May wait for new credentials: call it in a thread."""


def make_signer(region: str, access_key_id: str | None, secret: str | None, token: str | None) -> Signer:
    """Signs with the given keys, or where there are none with those that AWS's own tools would find on this machine.

    Raises ImportError where botocore is not installed, and LookupError where no keys are found.
    """
    import botocore.session
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    # At its debug level it logs what it signs, which has the session's token in it.
    logging.getLogger("botocore.auth").setLevel(logging.INFO)
    keys: Any
    if access_key_id is not None:
        keys = Credentials(access_key_id, secret, token)
    else:
        keys = botocore.session.get_session().get_credentials()
    if keys is None:
        raise LookupError

    def sign(method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
        S3SigV4Auth(keys.get_frozen_credentials(), "s3", region).add_auth(request)
        return dict(request.headers.items())

    return sign


async def send(
    session: aiohttp.ClientSession, method: str, url: str, headers: Mapping[str, str], body: bytes
) -> Answer:
    """Sends a signed request, as it is."""
    # Encoded in another way it would not be what was signed.
    target = URL(url, encoded=True)
    async with session.request(method, target, data=body, headers=headers, allow_redirects=False) as response:
        start = bytearray()
        # To its end where it is short, so that the connection can be used again.
        while len(start) < _MAX_BODY_CHARACTERS and (part := await response.content.read(_MAX_BODY_CHARACTERS)):
            start += part
        return Answer(response.status, response.headers.get("Retry-After"), start.decode(errors="replace"))
