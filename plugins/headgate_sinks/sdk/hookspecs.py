"""What a plugin may implement: functions of these names, marked with `headgate_sinks.hookimpl`, in the module of its
entry point. A hook may take fewer arguments than are listed here; later versions may add some.

A plugin is asked only where headgate.toml names it: as the `use` of a sink, to register it and to resolve its secrets;
in `forwarder.plugins`, to resolve those of every sink, and to observe.
"""

import pluggy

from headgate_sinks.sdk.sink import AnySink

hookspec = pluggy.HookspecMarker("headgate.sinks.v1")


@hookspec
def headgate_register_sinks() -> list[type[AnySink]]:  # type: ignore[empty-body]
    """The sink classes of this plugin. A configured `use` picks the one whose `use` is the same.

    Called once, when a process starts that needs them.
    """


@hookspec(firstresult=True)
def headgate_resolve_secret(reference: str) -> str | None:
    """The secret behind a reference such as `vault:kv/crm`; None where the reference is none of this plugin's.

    Asked for whatever a configuration gives as a secret, but for `env:` and `file:`, whenever a sink is opened. It may
    wait for a network, in a thread. Raise `SecretMissing`, whose message is shown, where the reference leads to
    nothing; the message of any other exception is not shown, since it might hold a secret.
    """


@hookspec
def headgate_batch_settled(sink: str, batch_id: str, delivered: int, dead: int, attempts: int) -> None:
    """A batch is done with: so many of its events were delivered to the sink of that configured name, and so many
    became dead letters, after so many writes by this forwarder.

    Called after it was recorded, in the order of settling, from a thread beside delivery. It is for observing: a call
    that raises is logged, calls are left out where more than 10,000 wait, and a forwarder that is killed makes none.
    """


@hookspec
def headgate_sink_state_changed(sink: str, state: str, previous: str, error: str) -> None:
    """A sink went from one state to another: RUNNING, RETRYING, PAUSED or BROKEN; `error` says why, and is empty where
    it runs again. Called as `headgate_batch_settled` is. `previous` is empty for a sink that is broken from the start.
    """
