"""The events of a request one by one: those that are valid are taken, the others are told of."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headgate.v1 import event_pb2, ingest_service_pb2, outcome_pb2

from headgate_dialects.formats import document
from headgate_dialects.sdk.dialect import Fault, Parsed, Unparsable
from headgate_dialects.sdk.rejection import Rejection

MAX_ID_BYTES = 256
"""Of an event's id: longer ones would cost the memory of ids too much."""


class EventFault(Exception):
    """What is wrong with one event: the others are taken without it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field, self.message = field, message


Write = Callable[[dict[str, Any], event_pb2.Event], None]
"""Writes one decoded event, an object, to the canonical one; raises EventFault."""


def parse_batch(
    values: Sequence[Any],
    body: bytes,
    key: str,
    write: Write,
    *,
    most: int = document.MAX_EVENTS,
    all_or_nothing: bool = False,
    note: str = "",
) -> Parsed:
    """The request of these events, of which `body` holds all.

    Raises Unparsable: INVALID where none is valid, or where one is not and it is `all_or_nothing`; TOO_LARGE where
    there are more than `most`.
    """
    if len(values) > most:
        raise Unparsable(Rejection.TOO_LARGE, credential=key, refused=len(values), limit=most, note=note)
    request = ingest_service_pb2.GatheredRequest()
    events = request.entry.events
    places: list[int] = []
    faults: list[Fault] = []
    for index, value in enumerate(values):
        try:
            if not isinstance(value, dict):
                raise EventFault("", "must be an object")
            if (message := document.oversize(value, body)) is not None:
                raise EventFault("", message)
            # Written aside: of an event with a fault nothing stays.
            event = event_pb2.Event()
            write(value, event)
        except EventFault as fault:
            faults.append(Fault(index, fault.field, fault.message))
        else:
            events.append(event)
            places.append(index)
    if faults and (all_or_nothing or not places):
        raise Unparsable(Rejection.INVALID, faults, credential=key, refused=len(values), note=note)
    refused = len(values) - len(places)
    return Parsed(
        request,
        key,
        faults=faults,
        refused=refused,
        places=places if refused else (),
        all_or_nothing=all_or_nothing,
        note=note,
    )


def faults_of(parsed: Parsed, response: ingest_service_pb2.IngestEventsResponse) -> list[Fault]:
    """Everything that was refused of a request that was taken: by the API's rules, and by the project's policy."""
    by_policy = [
        Fault(parsed.places[result.index] if parsed.places else result.index, result.field, result.message)
        for result in response.results
        if result.outcome == outcome_pb2.OUTCOME_REFUSED
    ]
    return sorted([*parsed.faults, *by_policy], key=lambda fault: fault.index or 0)


def text_id(value: object, field: str, *, most: int = MAX_ID_BYTES) -> str:
    """An id: a text, or a number as its decimal text; empty where it is absent or null. Raises EventFault."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise EventFault(field, "must be a string or a number")
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if len(text) > most // 4 and len(text.encode()) > most:
        raise EventFault(field, f"is over {most} bytes")
    return text


def take(value: dict[str, Any], name: str) -> dict[str, Any]:
    """Removes an object from its parent, whose copy it is; an empty one where there is none, and it stays."""
    found = value.get(name)
    return dict(value.pop(name)) if isinstance(found, dict) else {}


def take_text(value: dict[str, Any], name: str) -> str:
    """Removes a text from its parent; empty where it is no text, and it stays."""
    return str(value.pop(name)) if isinstance(value.get(name), str) else ""


def beside(properties: dict[str, Any], rest: Mapping[str, Any]) -> dict[str, Any]:
    """The properties with what else the client said: under its own name, or with as many `$` before it as make it one
    that is free. What is null or an empty object says nothing."""
    for name, value in rest.items():
        if value is None or value == {}:
            continue
        while name in properties:
            name = f"${name}"
        properties[name] = value
    return properties


def basic_user(headers: Mapping[str, str]) -> str:
    """The user of Basic authentication, which vendors send a key as; empty where there is none."""
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""
