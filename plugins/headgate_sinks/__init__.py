"""The sink SDK: what a plugin needs to receive Headgate's events, and the two sinks that come with it."""

import pluggy

from headgate_sinks.batch import Batch
from headgate_sinks.event_json import event_json, event_line
from headgate_sinks.result import Misconfigured, Outcome, Reject, Result, Retry, TooLarge
from headgate_sinks.secret import SecretMissing
from headgate_sinks.sink import Config, Limits, Place, Repeats, Sink, Spec, WhenFull
from headgate_sinks.sync_sink import AnySink, SyncSink, running

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
