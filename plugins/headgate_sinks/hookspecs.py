"""What a plugin implements. Called once, when a forwarder starts; never on the way of an event."""

import pluggy

from headgate_sinks.sync_sink import AnySink

hookspec = pluggy.HookspecMarker("headgate.sinks.v1")


@hookspec
def headgate_register_sinks() -> list[type[AnySink]]:  # type: ignore[empty-body]
    """The sink classes of this plugin. A configured `use` picks the one whose `use` is the same."""
