"""Everything that Headgate needs to know of an ingestion API, besides what its dialect does with a request.

Routes, metrics, the OpenAPI document, the docs, and the service's authentication, limits, dedup and ledger read it.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from headgate.v1 import admin_service_pb2, event_pb2, ingest_service_pb2

KeyKinds = frozenset[admin_service_pb2.KeyKind]

PUBLIC_KEYS: KeyKinds = frozenset({admin_service_pb2.KEY_KIND_PUBLIC, admin_service_pb2.KEY_KIND_TEST})
"""A project's public and test keys (`pk_live_`, `pk_test_`): what a page or an app may hold."""
ORGANISATION_KEYS: KeyKinds = frozenset({admin_service_pb2.KEY_KIND_ORGANISATION})
"""Keys of an organisation (`org_live_`) with the scope `events:write`: for servers."""
NO_KEYS: KeyKinds = frozenset()
"""The API takes no credential: its events go to the project that `[codcompass]` names."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_PATH = re.compile(r"/|(/[A-Za-z0-9._~-]+)+/?")
_METHODS = frozenset({"GET", "POST"})


@dataclass(frozen=True, slots=True)
class Route:
    """`path` as the API's document writes it. A client may add or leave out the slash at its end, unless another
    dialect has the path that is then meant. `methods` are of GET and POST."""

    path: str
    methods: tuple[str, ...] = ("POST",)

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path):
            raise ValueError(f"{self.path!r} is not a path of plain segments such as /v2/track")
        if not self.methods or not _METHODS.issuperset(self.methods):
            raise ValueError(f"{self.path}: methods are of GET and POST, not {', '.join(self.methods) or 'none'}")


@dataclass(frozen=True)
class Api:
    """One ingestion API.

    `name` labels it in metrics, logs, settings and, as `DIALECT_NAME`, in events; `title` is for people. `event_ids`:
    its events may bear ids of the client, which deduplicate. `people`: it takes sessions and bearer tokens of people
    besides keys. `max_body_bytes` is of the body on the wire; decoded it may have five times as many.
    `credentials_allowed`: a page of another origin may read answers to requests that the browser sent with credentials.
    `experiments`: where clients ask for the project's experiments; empty: nowhere. Raises ValueError.
    """

    name: str
    title: str
    routes: tuple[Route, ...]
    key_kinds: KeyKinds = PUBLIC_KEYS
    event_ids: bool = True
    people: bool = False
    max_body_bytes: int = 1024 * 1024
    credentials_allowed: bool = True
    experiments: str = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} can name no API: take up to 40 of a-z, 0-9 and _, a letter first")
        if not self.routes:
            raise ValueError(f"{self.name}: an API has at least one route")
        if self.max_body_bytes <= 0:
            raise ValueError(f"{self.name}: max_body_bytes is to be positive")

    @cached_property
    def access(self) -> ingest_service_pb2.ApiAccess:
        """What each request tells the service of it."""
        return ingest_service_pb2.ApiAccess(
            name=self.name, key_kinds=sorted(self.key_kinds), people=self.people, event_ids=self.event_ids
        )

    @cached_property
    def encoded(self) -> bytes:
        """A GatheredRequest that names the API and nothing else, encoded."""
        # A service of contract 1 reads the number, and knows no other API than those that have one.
        request = ingest_service_pb2.GatheredRequest(access=self.access)
        number = f"DIALECT_{self.name.upper()}"
        if number in event_pb2.Dialect.DESCRIPTOR.values_by_name:
            request.dialect = cast(event_pb2.Dialect, event_pb2.Dialect.Value(number))
        return request.SerializeToString()

    def request(self) -> ingest_service_pb2.GatheredRequest:
        """A request to the service by this API, with nothing else in it yet."""
        return ingest_service_pb2.GatheredRequest.FromString(self.encoded)
