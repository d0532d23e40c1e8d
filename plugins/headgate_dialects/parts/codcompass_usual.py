"""The requests of API 1 that nearly every client sends, read in half the time that the full rules take."""

from typing import Annotated, Any

import msgspec
import orjson
from headgate.v1.ingest_service_pb2 import GatheredRequest

from headgate_dialects.formats import document, strict_json
from headgate_dialects.formats.moment import iso8601

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=strict_json.SHORT_TEXT)]


class _Event(msgspec.Struct):
    type: _Text
    payload: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    userId: _Text | msgspec.UnsetType = msgspec.UNSET  # noqa: N815 - as the API names it
    sessionId: _Text | msgspec.UnsetType = msgspec.UNSET  # noqa: N815 - as the API names it


class _Envelope(msgspec.Struct):
    events: Annotated[list[_Event], msgspec.Meta(max_length=document.MAX_EVENTS)]
    timestamp: _Text | msgspec.UnsetType = msgspec.UNSET


_envelope = msgspec.json.Decoder(_Envelope).decode


def usual_request(body: bytes) -> GatheredRequest | None:
    """The request with the events of `body`; None where anything about it is out of the ordinary, be it faulty or not:
    then the full rules decide."""
    try:
        return _request(_envelope(body), body)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None


def _request(envelope: _Envelope, body: bytes) -> GatheredRequest | None:
    request = GatheredRequest()
    add = request.entry.events.add
    keys = 1
    texts: list[str] = []
    client_time = None
    if envelope.timestamp is not msgspec.UNSET:
        client_time = iso8601(envelope.timestamp)
        if client_time is None or not client_time.storable:
            return None
        texts.append(envelope.timestamp)
        keys += 1
    objects: list[bytes] = []
    for one in envelope.events:
        event = add()
        event.name = one.type
        texts.append(one.type)
        keys += 1
        person, session, payload = one.userId, one.sessionId, one.payload
        if person is not msgspec.UNSET:
            event.user_id = event.distinct_id = person
            texts.append(person)
            keys += 1
        if session is not msgspec.UNSET:
            event.session_id = session
            texts.append(session)
            keys += 1
            if person is msgspec.UNSET:
                event.distinct_id = session
        if client_time is not None:
            client_time.write(event.client_time)
        if payload is not msgspec.UNSET:
            encoded = orjson.dumps(payload)
            if payload:
                event.properties_json = encoded
            objects.append(encoded)
            keys += 1
    return request if strict_json.surely_strict(body, keys, texts, objects) else None
