"""Which content types are read as JSON."""

from functools import lru_cache

ACCEPT = "application/json, text/plain, application/x-www-form-urlencoded"

_READ_AS_JSON = frozenset({"application/json", "text/plain", "application/x-www-form-urlencoded", ""})
_UTF_8 = frozenset({"utf-8", "utf8"})


@lru_cache(maxsize=64)
def reads_as_json(content_type: str) -> bool:
    """Say whether a body of this Content-Type (empty: none was given) is taken.

    `text/plain` is what a beacon sends, and the form type what curl sends unasked. A charset must be UTF-8 in some
    spelling; other parameters mean nothing for JSON.
    """
    media_type, _, parameters = content_type.partition(";")
    if media_type.strip().lower() not in _READ_AS_JSON:
        return False
    return not parameters or all(map(_harmless, parameters.split(";")))


def _harmless(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip().lower() != "charset" or value.strip().strip("\"'").lower() in _UTF_8
