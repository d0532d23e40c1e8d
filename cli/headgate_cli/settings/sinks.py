"""`[[sinks]]` of headgate.toml: one destination of events, and what it gets of them."""

from typing import Any, Literal

from pydantic import ByteSize, Field, model_validator

from headgate_cli.settings.section import Section


class FieldSettings(Section):
    """What the sink gets to see of its events. Id, name, times and project go to every sink. Absent: everything."""

    include: tuple[str, ...] | None = None
    """Only these fields, such as `user_id`, `page.href`, `properties` or `properties.card.type`. Absent: all."""

    exclude: tuple[str, ...] = ()
    """None of these fields."""

    rename: dict[str, str] = Field(default={})
    """Properties to rename: path of a property, such as `plan` or `card.type` -> the name it gets in its place."""


class SinkSettings(Section):
    """One destination of events."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    """Its name: 1 to 40 of a-z, 0-9 and inner hyphens. It is the sink's identity: a new name is a new sink."""

    use: str = ""
    """The plugin that writes it: a built-in one, such as `webhook`, or one that an installed package brings. Absent: the one called as the sink is."""  # noqa: E501

    projects: tuple[str, ...] = ("*",)
    """Slugs of the projects it gets, or `["*"]` for all."""

    route: str | None = None
    """CEL expression over `event` and `properties`, such as `event.name == "purchase" && properties.amount > 100.0`: the sink gets the events of which it is true. Absent: all. Its fields are those of `headgate.v1.Event`."""  # noqa: E501

    when_full: Literal["refuse", "expire"] | None = None
    """When `limits.log_bytes` of a project wait for it: `refuse` answers that project's events 503, `expire` gives up the oldest, counted as dead. Absent: what the plugin does, `refuse` for `jsonl` and `expire` for the other built-in ones."""  # noqa: E501

    enabled: bool = True
    """False: it gets nothing and keeps its place in the log, which keeps what follows within `log.keep_bytes`, however old."""  # noqa: E501

    pause_rejecting: bool = True
    """Whether it pauses by itself, and keeps what it has not taken, when it rejects half or more of the last 100 events it got. False: all that it rejects becomes dead letters."""  # noqa: E501

    memory: ByteSize = ByteSize(512 * 1024**2)
    """What the process of a third-party sink may use, on Linux: one that uses more is ended and started again."""

    fields: FieldSettings | None = None
    """What it gets to see of its events. Absent: everything."""

    config: dict[str, Any] = Field(default={}, repr=False)
    """The plugin's own settings, as its page documents them."""

    @property
    def only_projects(self) -> frozenset[str] | None:
        """The slugs it is limited to; None: it gets all."""
        return None if "*" in self.projects else frozenset(self.projects)

    def given(self, **config: Any) -> "SinkSettings":
        """With this configuration where its own says nothing. None: there is nothing to say."""
        known = {name: value for name, value in config.items() if value is not None}
        return self.model_copy(update={"config": {**known, **self.config}})

    @model_validator(mode="after")
    def _compiles_route(self) -> "SinkSettings":
        if self.route is not None:
            # The library of routes takes 7 MB: it is loaded only where there is one.
            from headgate_service.model.route import Route, RouteInvalid

            try:
                Route(self.route)
            except RouteInvalid as error:
                raise ValueError(f"`route` of the sink {self.name!r}: {error}") from None
        return self

    @model_validator(mode="after")
    def _chooses_fields(self) -> "SinkSettings":
        if self.fields is not None:
            from headgate_service.model.event_view import Fields, FieldsInvalid

            try:
                Fields(self.fields.include, self.fields.exclude, self.fields.rename)
            except FieldsInvalid as error:
                raise ValueError(f"`fields` of the sink {self.name!r}: {error}") from None
        return self

    @model_validator(mode="before")
    @classmethod
    def _named_after_plugin(cls, table: Any) -> Any:
        return {"use": table.get("name", ""), **table} if isinstance(table, dict) else table


DEFAULT_SINKS = (SinkSettings(name="jsonl", use="jsonl"),)
STORE_SINK = SinkSettings(name="store", use="store")
"""Beside them where there is a store."""
