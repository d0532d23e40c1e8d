"""What a plugin may implement: functions of these names, marked with `headgate_dialects.hookimpl`, in the module of its
entry point. A hook may take fewer arguments than are listed here; later versions may add some.

A plugin of another package is loaded only where `[gateway] dialects` in headgate.toml names it.
"""

import pluggy

from headgate_dialects.sdk.dialect import Dialect

ENTRY_POINTS = "headgate.dialects.v1"

hookspec = pluggy.HookspecMarker(ENTRY_POINTS)
hookimpl = pluggy.HookimplMarker(ENTRY_POINTS)


@hookspec
def headgate_register_dialects() -> list[Dialect]:  # type: ignore[empty-body]
    """The dialects of this plugin. Called once, when a gateway starts."""
