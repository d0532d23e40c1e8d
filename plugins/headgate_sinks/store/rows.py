"""Events as rows of the store's table `events`, in ClickHouse's format RowBinary."""

import struct
from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import event_pb2

from headgate_sinks.formats.event_json import dialect_text

COLUMNS = (
    "project_id", "event", "ts", "receive_time", "event_id", "distinct_id", "user_id", "anonymous_id", "session_id",
    "test", "dialect", "weight", "page_href", "page_domain", "page_path", "page_title", "page_canonical_url",
    "page_referrer", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "user_agent", "client_ip",
    "method", "sdk_name", "sdk_version", "sdk_runtime", "experiment_id", "variant_id", "conversion", "properties_raw",
    "rest",
)  # fmt: skip
"""In the order in which `row` writes them. What is left out, the engine makes of these. `rest` is an Event of what no
other column can tell, in base64: with it, a row is the whole event again (`rebuilt`)."""

# What DateTime64(3) can tell: the years 1900 to 2299, in ms since 1970.
_FIRST, _LAST = -2_208_988_800_000, 10_413_791_999_999
_FIRST_SECOND, _LAST_SECOND = _FIRST // 1000, _LAST // 1000
_LENGTHS = tuple(bytes([length]) for length in range(128))
_NO_PAGE, _NO_CAMPAIGN, _NO_REQUEST, _NO_SDK, _NO_EXPERIMENT = bytes(6), bytes(5), bytes(3), bytes(3), bytes(3)
_WEIGHT = struct.Struct("<d").pack
_TIME = struct.Struct("<q").pack
_FLAGS = (b"\0", b"\1")


def rows(events: Sequence[event_pb2.Event]) -> bytes:
    """A row for each."""
    return b"".join(map(row, events))


def row(event: event_pb2.Event) -> bytes:
    """The event's values in the order of COLUMNS."""
    received = milliseconds(event.receive_time)
    has = event.HasField
    return b"".join((
        _often(event.project_id),
        _often(event.name),
        _TIME(milliseconds(event.occur_time) if has("occur_time") else received),
        _TIME(received),
        _text(event.event_id),
        _text(event.distinct_id),
        _text(event.user_id),
        _text(event.anonymous_id),
        _text(event.session_id),
        _FLAGS[event.test],
        _dialect(event.dialect, event.dialect_name),
        _weight(event.sample_weight or 1.0),
        page := _page(event.page) if has("page") else _NO_PAGE,
        campaign := _campaign(event.campaign) if has("campaign") else _NO_CAMPAIGN,
        request := _request(event.request) if has("request") else _NO_REQUEST,
        sdk := _sdk(event.sdk) if has("sdk") else _NO_SDK,
        experiment := _experiment(event.experiment) if has("experiment") else _NO_EXPERIMENT,
        _bytes(event.properties_json),
        _bytes(_rest(event, page, campaign, request, sdk, experiment)),
    ))  # fmt: skip


_KNOWN_DIALECTS = frozenset(event_pb2.Dialect.values())
_PARTS = ("page", "campaign", "request", "sdk", "experiment")
_NOTHING = (_NO_PAGE, _NO_CAMPAIGN, _NO_REQUEST, _NO_SDK, _NO_EXPERIMENT)


def _rest(event: event_pb2.Event, *parts: bytes) -> bytes:
    has, occur, received = event.HasField, event.occur_time, event.receive_time
    plain = (
        not occur.nanos % 1_000_000 and not received.nanos % 1_000_000
        and _FIRST_SECOND <= occur.seconds <= _LAST_SECOND and _FIRST_SECOND <= received.seconds <= _LAST_SECOND
        and not has("client_time") and not event.dialect_name and event.dialect in _KNOWN_DIALECTS
    )  # fmt: skip
    # A part that is there and of which no column holds anything.
    hidden = [
        name for name, part, nothing in zip(_PARTS, parts, _NOTHING, strict=True) if part == nothing and has(name)
    ]
    sent_href = event.page.sent_href if has("page") else ""
    if plain and not hidden and not sent_href:
        return b""
    rest = event_pb2.Event(dialect_name=event.dialect_name)
    if not plain:
        rest.dialect = event.dialect
        for name in ("occur_time", "receive_time", "client_time"):
            if has(name):
                getattr(rest, name).CopyFrom(getattr(event, name))
    for name in hidden:
        getattr(rest, name).SetInParent()
    if sent_href:
        rest.page.sent_href = sent_href
    # As text: answers in JSON may hold nothing else.
    return b64encode(rest.SerializeToString())


def milliseconds(time: Timestamp) -> int:
    """Since 1970, as far as the column can tell."""
    return min(max(time.seconds * 1000 + time.nanos // 1_000_000, _FIRST), _LAST)


def _page(page: event_pb2.Page) -> bytes:
    return (
        _text(page.href) + _often(page.domain) + _text(page.path) + _text(page.title) + _text(page.canonical_url)
        + _text(page.referrer)
    )  # fmt: skip


def _campaign(campaign: event_pb2.Campaign) -> bytes:
    return (
        _often(campaign.source) + _often(campaign.medium) + _often(campaign.campaign) + _text(campaign.term)
        + _text(campaign.content)
    )  # fmt: skip


def _request(request: event_pb2.Request) -> bytes:
    return _text(request.user_agent) + _text(request.client_ip) + _often(request.method)


def _sdk(sdk: event_pb2.Sdk) -> bytes:
    return _often(sdk.name) + _often(sdk.version) + _often(sdk.runtime)


def _experiment(experiment: event_pb2.Experiment) -> bytes:
    return _text(experiment.experiment_id) + _text(experiment.variant_id) + _FLAGS[experiment.conversion]


@lru_cache(maxsize=16)
def _dialect(dialect: event_pb2.Dialect, name: str) -> bytes:
    return _text(str(dialect_text(dialect, name))) if dialect else b"\0"


@lru_cache(maxsize=64)
def _weight(weight: float) -> bytes:
    return _WEIGHT(weight)


def _text(text: str) -> bytes:
    return _bytes(text.encode()) if text else b"\0"


# Few values, again and again.
_often = lru_cache(maxsize=4096)(_text)


def _bytes(value: bytes) -> bytes:
    length = len(value)
    return _LENGTHS[length] + value if length < 128 else _varint(length) + value


def _varint(number: int) -> bytes:
    coded = bytearray()
    while number > 127:
        coded.append(number & 127 | 128)
        number >>= 7
    coded.append(number)
    return bytes(coded)
