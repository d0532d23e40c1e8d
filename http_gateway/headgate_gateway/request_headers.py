"""The headers of a request, as the gateway and its dialects read them."""

from collections.abc import Iterable, Mapping
from typing import Any


def request_headers(scope: Mapping[str, Any]) -> dict[str, str]:
    """Decode an ASGI scope's headers; names are lower-case, a repeated header's values are joined as lists are."""
    raw: Iterable[tuple[bytes, bytes]] = scope["headers"]
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in raw:
        name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1")
        if name in headers:
            value = f"{headers[name]}{'; ' if name == 'cookie' else ', '}{value}"
        headers[name] = value
    return headers
