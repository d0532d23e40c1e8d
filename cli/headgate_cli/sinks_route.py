"""`headgate sinks route`: tells which sinks an event would reach, and why."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate_cli.admin_socket import AsJson, fail
from headgate_cli.settings import SettingsInvalid, read_settings
from headgate_cli.sink_settings import SinkSettings

if TYPE_CHECKING:
    from headgate.v1.event_pb2 import Event


class EventUnreadable(Exception):
    """What was given is no event; the message says why."""


def route(
    explain: Annotated[
        Path,
        typer.Option(
            "--explain", metavar="FILE", help="An event as sinks write it: a line of a jsonl file, say. `-`: stdin."
        ),
    ],
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="The settings. Default: ./headgate.toml, where there is one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell for each sink whether its route takes an event, and why. Nothing is sent, and nothing need run."""
    try:
        settings = read_settings(config, os.environ)
        event = read_event(sys.stdin.read() if str(explain) == "-" else explain.read_text(encoding="utf-8"))
    except SettingsInvalid as error:
        fail(str(error))
    except (OSError, UnicodeDecodeError, EventUnreadable) as error:
        fail(f"{explain}: {error}")
    rows = [(sink.name, *reached(sink, event)) for sink in settings.running_sinks]
    if as_json:
        typer.echo(json.dumps([{"sink": name, "reached": yes, "why": why} for name, yes, why in rows], indent=2))
        return
    width = max((len(name) for name, _, _ in rows), default=0)
    for name, yes, why in rows:
        typer.echo(f"{name:{width}}  {'reached' if yes else 'not reached':11}  {why}")


def reached(sink: SinkSettings, event: "Event") -> tuple[bool, str]:
    """Whether the sink gets the event, and why."""
    from headgate_service.route import Route, RouteFailed

    of = "" if sink.only_projects is None else f", of the projects {', '.join(sorted(sink.only_projects))}"
    if sink.route is None:
        return True, f"it has no route and gets every event{of}"
    try:
        taken = Route(sink.route).takes(event)
    except RouteFailed as error:
        return False, f"its route cannot tell, which counts as no: {error}"
    return taken, f"its route is {'true' if taken else 'false'}{of}: {sink.route}"


def read_event(text: str) -> "Event":
    """An event in the form that sinks write. Raises EventUnreadable."""
    from google.protobuf import json_format
    from headgate.v1.event_pb2 import Event

    try:
        given: Any = json.loads(text)
        if not isinstance(given, dict):
            raise EventUnreadable("is no JSON object")
        properties = given.pop("properties", None)
        event = json_format.ParseDict(given, Event())
    except (json.JSONDecodeError, RecursionError) as error:
        raise EventUnreadable(f"is no JSON: {error}") from None
    except json_format.ParseError as error:
        raise EventUnreadable(f"is no event as sinks write it: {error}") from None
    if properties is not None:
        if not isinstance(properties, dict):
            raise EventUnreadable("`properties` is no object")
        event.properties_json = json.dumps(properties).encode()
    return event
