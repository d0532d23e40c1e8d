"""JSON that is wrapped: in a field of a form, in base64, or compressed by the client itself."""

import base64
import binascii
from typing import Any
from urllib.parse import unquote_to_bytes

from headgate_dialects.formats import document
from headgate_dialects.formats.content_encoding import Corrupt, Inflated, decoder
from headgate_dialects.formats.json_structure import MAX_VALUES, TooManyValues, ValueLimit
from headgate_dialects.sdk.dialect import Fault, Unparsable
from headgate_dialects.sdk.rejection import Rejection

_MOST_FIELDS = 20


def form_fields(encoded: bytes) -> dict[str, bytes]:
    """The fields of a form or a query string, percent-decoded; the first of a name stands, and at most 20 are read."""
    fields: dict[str, bytes] = {}
    for pair in encoded.split(b"&", _MOST_FIELDS)[:_MOST_FIELDS]:
        name, _, value = pair.partition(b"=")
        if name:
            fields.setdefault(_decoded(name).decode(errors="replace"), _decoded(value))
    return fields


def is_json_text(body: bytes) -> bool:
    """Whether it may be a JSON object or array, and no form."""
    return body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def from_base64(data: bytes) -> bytes:
    """What the data is in base64, standard or of URLs, padded or not; the data itself where it is no base64."""
    compact = b"".join(data.split()).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except binascii.Error:
        return data


def read_wrapped(data: bytes, most_bytes: int, *, credential: str = "", gzip: bool = False) -> tuple[Any, bytes]:
    """The JSON value of unwrapped data, and its text. `gzip`: it is compressed, to at most `most_bytes`.

    Raises Unparsable: what the gateway counts of a body it does not see here.
    """
    decode = decoder("gzip" if gzip else "")
    try:
        text = decode(data, most_bytes, ValueLimit().add) if decode else data
    except Inflated:
        raise Unparsable(Rejection.TOO_LARGE, credential=credential, limit=most_bytes) from None
    except TooManyValues:
        raise Unparsable(Rejection.TOO_LARGE, credential=credential, limit=MAX_VALUES) from None
    except Corrupt as corrupt:
        fault = Fault(None, "body", f"the body cannot be decompressed: {corrupt}")
        raise Unparsable(Rejection.NOT_JSON, [fault], credential=credential) from None
    return document.read(text, credential=credential), text


def _decoded(value: bytes) -> bytes:
    return unquote_to_bytes(value.replace(b"+", b" "))
