"""The sink SDK: what a plugin needs to receive Headgate's events, and the two sinks that come with it."""

import pluggy

from headgate_sinks.formats.event_json import event_json, event_line
from headgate_sinks.sdk.secret import SecretMissing
from headgate_sinks.sdk.sink import (
    AnySink,
    Batch,
    Config,
    Limits,
    Misconfigured,
    Outcome,
    Place,
    Reject,
    Repeats,
    Result,
    Retry,
    Sink,
    Spec,
    SyncSink,
    TooLarge,
    WhenFull,
    running,
)

ENTRY_POINTS = "headgate.sinks.v1"

hookimpl = pluggy.HookimplMarker(ENTRY_POINTS)

__all__ = [
    "ENTRY_POINTS",
    "AnySink",
    "Batch",
    "Config",
    "Limits",
    "Misconfigured",
    "Outcome",
    "Place",
    "Reject",
    "Repeats",
    "Result",
    "Retry",
    "SecretMissing",
    "Sink",
    "Spec",
    "SyncSink",
    "TooLarge",
    "WhenFull",
    "event_json",
    "event_line",
    "hookimpl",
    "running",
]
