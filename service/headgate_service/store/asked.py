"""What a request over ClickHouse's HTTP protocol asks for, apart from its statement."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from headgate_sinks.store_address import DATABASE

USERS = ("default", "headgate")

# What stands beside settings in an address, and is none.
_OWN = frozenset((
    "query", "database", "default_format", "user", "password", "query_id", "session_id", "session_timeout",
    "session_check", "close_session", "compress", "decompress", "buffer_size", "wait_end_of_query", "quota_key", "role",
    "stacktrace", "client_protocol_version", "send_progress_in_http_headers", "http_headers_progress_interval_ms",
    "enable_http_compression", "http_zlib_compression_level", "cancel_http_readonly_queries_on_client_close",
    "http_native_compression_disable_checksumming_on_decompress", "add_http_cors_header", "async_insert",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """`whole`: nothing is answered before all of it is known. `compressed`: the answer may be. `native_blocks`: it
    wants ClickHouse's own compression of blocks."""

    query: str
    database: str
    form: str | None
    query_id: str | None
    whole: bool
    compressed: bool
    native_blocks: bool
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


def read_asked(address: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
    """`address` are the parameters of the address, or of the form in the body over them."""
    return Asked(
        query=address.get("query", ""),
        database=address.get("database") or headers.get("X-ClickHouse-Database") or DATABASE,
        form=address.get("default_format") or headers.get("X-ClickHouse-Format"),
        query_id=address.get("query_id"),
        whole=_yes(address.get("wait_end_of_query")),
        compressed=_yes(address.get("enable_http_compression")),
        native_blocks=_yes(address.get("compress")) or _yes(address.get("decompress")),
        parameters={name.removeprefix("param_"): value for name, value in address.items() if name.startswith("param_")},
        settings={name: value for name, value in address.items() if name not in _OWN and not name.startswith("param_")},
    )


def credentials(address: Mapping[str, str], headers: Mapping[str, str]) -> tuple[str, str]:
    """User and password, as the request gives them."""
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", USERS[0]), headers.get("X-ClickHouse-Key", "")
    kind, _, given = headers.get("Authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return user, password
    return address.get("user", USERS[0]), address.get("password", "")


def _yes(value: str | None) -> bool:
    return value not in (None, "", "0", "false")
