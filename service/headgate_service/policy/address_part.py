"""The query and fragment of an address, which carry what an address should not."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote_plus

from headgate_service.policy.property_path import DROP


def changed_address(text: str, part: str, new: Callable[[Any], Any]) -> str:
    """An address with a part of it replaced: `fragment`, `query` (each of its values) or `query.NAME`."""
    rest, hash_mark, fragment = text.partition("#")
    if part == "fragment":
        made: Any = new(unquote_plus(fragment)) if fragment else DROP
        return rest if made is DROP else f"{rest}#{quote(made)}"
    before, question, query = rest.partition("?")
    if not question:
        return text
    name = part.removeprefix("query").removeprefix(".")
    pairs = [_changed_pair(pair, name, new) for pair in query.split("&")]
    kept = "&".join(pair for pair in pairs if pair)
    return f"{before}{question if kept else ''}{kept}{hash_mark}{fragment}"


def _changed_pair(pair: str, name: str, new: Callable[[Any], Any]) -> str:
    key, equals, value = pair.partition("=")
    if name and unquote_plus(key) != name:
        return pair
    made = new(unquote_plus(value))
    if made is DROP:
        return ""
    return f"{key}={quote(made)}" if equals else pair if name else quote(new(unquote_plus(key)))
