"""The fields of an event, and what each is called in every place that events are written to, chosen from or queried."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "time", "flag", "number", "json"]


@dataclass(frozen=True, slots=True)
class EventField:
    """One field: a scalar of the event, or of a message within it.

    `path` is the field in the protobuf contract, such as `page.href`, and `kind` what a column for it holds. `column`
    is its column in postgres, clickhouse and Parquet; where empty, the path with `_` for the dot. `store` is its column
    in the store, `flat` its property where an analytics vendor takes flat properties, and `query` the keys that queries
    read it by; where empty, it has none.

    `required`: every event has it. `always`: every sink gets it, whatever `[sinks.fields]` chooses. `by_service`: the
    service sets it, and drops what a client sends. `few`: it has few values, which columns can make use of. `personal`:
    it may identify a person.
    """

    path: str
    kind: Kind = "text"
    column: str = ""
    store: str = ""
    flat: str = ""
    query: tuple[str, ...] = ()
    required: bool = False
    always: bool = False
    by_service: bool = False
    few: bool = False
    personal: bool = False

    @property
    def part(self) -> str:
        """The message within the event that holds it; empty for the event itself."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """Its name in the message that holds it."""
        return self.path.rpartition(".")[2]

    @property
    def column_name(self) -> str:
        return self.column or self.path.replace(".", "_")


_F = EventField
FIELDS = (
    _F("project_id", store="project_id", flat="project_id", required=True, always=True, by_service=True, few=True),
    _F("event_id", store="event_id", flat="event_id", required=True, always=True),
    _F("name", store="event", query=("event",), required=True, always=True, few=True),
    _F("occur_time", "time", store="ts", query=("timestamp",), always=True),
    _F("receive_time", "time", store="receive_time", always=True, by_service=True),
    _F("client_time", "time"),
    _F("user_id", store="user_id", flat="user_id", query=("user_id",), personal=True),
    _F("distinct_id", store="distinct_id", query=("distinct_id",), personal=True),
    _F("anonymous_id", store="anonymous_id", flat="anonymous_id", query=("$anonymous_id",), personal=True),
    _F("session_id", store="session_id", flat="session_id", query=("session_id",), personal=True),
    _F("page.href", store="page_href", query=("$href", "$url", "$current_url"), personal=True),
    _F("page.domain", store="page_domain", flat="page_domain", query=("$domain", "$host"), few=True),
    _F("page.path", store="page_path", flat="page_path", query=("$path", "$pathname")),
    _F("page.title", store="page_title", flat="page_title", query=("$title",)),
    _F("page.canonical_url", store="page_canonical_url", flat="canonical_url", query=("$canonical_url",)),
    _F("page.referrer", store="page_referrer", query=("$referrer",), personal=True),
    _F("page.sent_href", personal=True),
    _F("request.user_agent", store="user_agent", flat="user_agent", query=("$user_agent",), personal=True),
    _F("request.client_ip", store="client_ip", query=("$ip",), personal=True),
    _F("request.method", store="method", flat="request_method", few=True),
    _F("sdk.name", store="sdk_name", flat="sdk_name", query=("$sdk_name",), few=True),
    _F("sdk.version", store="sdk_version", flat="sdk_version", query=("$sdk_version",), few=True),
    _F("sdk.runtime", store="sdk_runtime", flat="sdk_runtime", few=True),
    _F(
        "experiment.experiment_id",
        column="experiment_id",
        store="experiment_id",
        flat="experiment_id",
        query=("$experiment_id",),
    ),
    _F("experiment.variant_id", store="variant_id", flat="variant_id", query=("$variant_id",)),
    _F("experiment.conversion", "flag", store="conversion", flat="conversion"),
    _F("campaign.source", store="utm_source", flat="utm_source", query=("$utm_source",), few=True),
    _F("campaign.medium", store="utm_medium", flat="utm_medium", query=("$utm_medium",), few=True),
    _F(
        "campaign.campaign",
        column="campaign_name",
        store="utm_campaign",
        flat="utm_campaign",
        query=("$utm_campaign",),
    ),
    _F("campaign.term", store="utm_term", flat="utm_term", query=("$utm_term",)),
    _F("campaign.content", store="utm_content", flat="utm_content", query=("$utm_content",)),
    _F("test", "flag", store="test", flat="test", query=("test",), required=True),
    _F("dialect", store="dialect", always=True, by_service=True, few=True),
    _F("sample_weight", "number", store="weight", flat="sample_weight", always=True, by_service=True),
    _F("properties_json", "json", column="properties", store="properties_raw", personal=True),
)
"""In the order of columns. To add a field: its line in the protobuf contract, and its line here."""
