"""`[[sinks]]` of headgate.toml: a destination of events, and which events it gets."""

from typing import Annotated, Any, Literal

from pydantic import ByteSize, Field, model_validator

from headgate_cli.settings.destination import To
from headgate_cli.settings.section import Section


class FieldSettings(Section):
    """Which fields of its events the sink sees. Id, name, times and project go to every sink. Absent: all fields."""

    include: tuple[str, ...] | None = None
    """Only these fields, such as `user_id`, `page.href`, `properties` or `properties.card.type`. Absent: all."""

    exclude: tuple[str, ...] = ()
    """All but these fields."""

    rename: dict[str, str] = Field(default={})
    """Properties to rename: path of a property, such as `plan` or `card.type` -> its new name."""


class SinkSettings(Section):
    """A destination of events."""

    name: Annotated[str, To("service.name", "forwarder.name")] = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    """1 to 40 of a-z, 0-9 and hyphens, not starting with a hyphen. The name is the sink's identity: a new name is a new sink."""  # noqa: E501

    use: Annotated[str, To("service.use", "forwarder.use")] = ""
    """Plugin that writes the events: a built-in one, such as `webhook`, or one from an installed package. Default: the sink's name."""  # noqa: E501

    projects: tuple[str, ...] = ("*",)
    """Slugs of the projects to take events from, or `["*"]` for all."""

    route: Annotated[str | None, To("service.route", "forwarder.route")] = None
    """CEL expression over `event` and `properties`, such as `event.name == "purchase" && properties.amount > 100.0`. The sink gets the events for which it is true. Absent: all events. Fields are those of `headgate.v1.Event`."""  # noqa: E501

    when_full: Annotated[Literal["refuse", "expire"] | None, To("forwarder.when_full")] = None
    """What happens when `limits.log_bytes` of a project wait for this sink. `refuse`: new events of that project are answered 503. `expire`: the oldest events are given up and counted as dead. Default: set by the plugin; `refuse` for `jsonl`, `expire` for the other built-in sinks."""  # noqa: E501

    enabled: Annotated[bool, To("service.enabled", "forwarder.enabled")] = True
    """If false, the sink gets nothing and keeps its place in the log. The log then keeps later events within `log.keep_bytes`, whatever their age."""  # noqa: E501

    pause_rejecting: Annotated[bool, To("forwarder.pause_rejecting")] = True
    """Whether the sink pauses for a project when it rejects half or more of the last 100 events of it; waiting events are kept. If false, every rejected event becomes a dead letter."""  # noqa: E501

    memory: Annotated[ByteSize, To("forwarder.memory")] = ByteSize(512 * 1024**2)
    """Memory of a third-party sink's process, on Linux. A process that uses more is restarted."""

    fields: Annotated[FieldSettings | None, To("forwarder.fields")] = None
    """Which fields of its events the sink sees. Absent: all."""

    config: Annotated[dict[str, Any], To("forwarder.settings")] = Field(default={}, repr=False)
    """The plugin's settings; see its page."""

    @property
    def only_projects(self) -> frozenset[str] | None:
        """The slugs it is limited to. None: all projects."""
        return None if "*" in self.projects else frozenset(self.projects)

    @model_validator(mode="after")
    def _check_route(self) -> "SinkSettings":
        if self.route is not None:
            # The CEL library takes 7 MB: loaded only if there is a route.
            from headgate_service.model.route import Route, RouteInvalid

            try:
                Route(self.route)
            except RouteInvalid as error:
                raise ValueError(f"`route` of the sink {self.name!r}: {error}") from None
        return self

    @model_validator(mode="after")
    def _check_fields(self) -> "SinkSettings":
        if self.fields is not None:
            from headgate_service.model.event_view import Fields, FieldsInvalid

            try:
                Fields(self.fields.include, self.fields.exclude, self.fields.rename)
            except FieldsInvalid as error:
                raise ValueError(f"`fields` of the sink {self.name!r}: {error}") from None
        return self

    @model_validator(mode="before")
    @classmethod
    def _default_use(cls, table: Any) -> Any:
        return {"use": table.get("name", ""), **table} if isinstance(table, dict) else table


DEFAULT_SINKS = (SinkSettings(name="jsonl", use="jsonl"),)
STORE_SINK = SinkSettings(name="store", use="store")
"""Added to the defaults if there is a store."""
