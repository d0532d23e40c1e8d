"""What API 1 keeps of an event that is larger than it may be: it refuses none."""

from collections.abc import Iterator
from typing import Any

import orjson

from headgate_dialects.formats.strict_json import MAX_EVENT_BYTES, MAX_STRING_BYTES

_NAMED = ("type", "userId", "sessionId")
# A control character is six bytes of JSON: three texts so short leave room for the rest.
_SURELY_SHORT = MAX_EVENT_BYTES // (6 * (len(_NAMED) + 1))


def shortened(event: dict[str, Any]) -> dict[str, Any]:
    """The event with its long strings cut and, where it is still too large, its largest values replaced by a marker
    that says how many bytes of JSON they were."""
    event = _with_short_strings(event)
    over = len(orjson.dumps(event)) - MAX_EVENT_BYTES
    for size, holder, key in sorted(_values(event), key=lambda value: -value[0]):
        marker = _marker(size)
        saved = size - len(orjson.dumps(marker))
        if over <= 0 or saved <= 0:
            break
        holder[key] = marker
        over -= saved
    return event if over <= 0 else _without_properties(event)


def _values(event: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Each value that becomes a property: its size, and where it stands."""
    for key, value in event.items():
        if key == "payload" and type(value) is dict:
            yield from ((len(orjson.dumps(inner)), value, name) for name, inner in value.items())
        elif key not in _NAMED or type(value) is not str:
            yield len(orjson.dumps(value)), event, key


def _without_properties(event: dict[str, Any]) -> dict[str, Any]:
    named = {key: event[key] for key in _NAMED if type(event.get(key)) is str}
    payload = event.get("payload")
    properties = {key: value for key, value in event.items() if key not in named and value is not payload}
    properties |= payload if type(payload) is dict else {}
    marker = _marker(size := len(orjson.dumps(properties)))
    # Where the name and ids alone are too large, there may be hardly a property.
    kept = named | {"payload": marker if size > len(orjson.dumps(marker)) else properties | _CUT}
    if len(orjson.dumps(kept)) > MAX_EVENT_BYTES:
        kept |= {key: _first_bytes(text, _SURELY_SHORT) for key, text in named.items()}
    return kept


_CUT = {"$truncated": True}


def _marker(size: int) -> dict[str, Any]:
    return _CUT | {"bytes": size}


def _with_short_strings(event: dict[str, Any]) -> dict[str, Any]:
    short: dict[str, Any]
    short, cut = _short(event)
    if cut:
        payload = short.get("payload")
        (payload if type(payload) is dict else short)["$truncated"] = True
    return short


def _short(value: Any) -> tuple[Any, bool]:
    """The value, copied, with the first bytes of its long strings and keys; and whether there was one."""
    if type(value) is str:
        text = _first_bytes(value, MAX_STRING_BYTES)
        return text, len(text) < len(value)
    if type(value) is list:
        pairs = [_short(inner) for inner in value]
        return [inner for inner, _ in pairs], any(cut for _, cut in pairs)
    if type(value) is dict:
        keys, (values, cut) = [_short(key) for key in value], _short(list(value.values()))
        return dict(zip((key for key, _ in keys), values, strict=True)), cut or any(cut for _, cut in keys)
    return value, False


def _first_bytes(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore") if len(text) * 4 > most else text
