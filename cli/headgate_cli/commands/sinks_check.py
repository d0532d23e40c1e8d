"""`headgate sinks check`: asks each configured sink whether its target is there."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate_cli.api.admin_socket import DEFAULT_DATA_DIR, AsJson, fail
from headgate_cli.output import say
from headgate_cli.settings.reader import SettingsInvalid, read_settings
from headgate_cli.settings.settings import Settings
from headgate_cli.settings.sinks import SinkSettings

if TYPE_CHECKING:
    from headgate.v1.event_pb2 import Event


class EventUnreadable(Exception):
    """What was given is not an event; the message says why."""


def route(
    explain: Annotated[
        Path,
        typer.Option(
            "--explain",
            metavar="FILE",
            help="A file with one event as sinks write it, such as a line of a jsonl file. `-`: stdin.",
        ),
    ],
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="The settings file. Default: ./headgate.toml if it exists."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show for each sink whether its route takes an event, and why. Sends nothing; works offline."""
    try:
        settings = read_settings(config, os.environ)
        event = read_event(sys.stdin.read() if str(explain) == "-" else explain.read_text(encoding="utf-8"))
    except SettingsInvalid as error:
        fail(str(error))
    except (OSError, UnicodeDecodeError, EventUnreadable) as error:
        fail(f"{explain}: {error}")
    rows = [(sink.name, *reached(sink, event)) for sink in settings.running_sinks]
    if as_json:
        say(json.dumps([{"sink": name, "reached": yes, "why": why} for name, yes, why in rows], indent=2))
        return
    width = max((len(name) for name, _, _ in rows), default=0)
    for name, yes, why in rows:
        say(f"{name:{width}}  {'reached' if yes else 'not reached':11}  {why}")


def reached(sink: SinkSettings, event: "Event") -> tuple[bool, str]:
    """Whether the sink gets the event, and why."""
    from headgate_service.model.route import Route, RouteFailed

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
            raise EventUnreadable("is not a JSON object")
        properties = given.pop("properties", None)
        event = json_format.ParseDict(given, Event())
    except (json.JSONDecodeError, RecursionError) as error:
        raise EventUnreadable(f"is not JSON: {error}") from None
    except json_format.ParseError as error:
        raise EventUnreadable(f"is not an event as sinks write it: {error}") from None
    if properties is not None:
        if not isinstance(properties, dict):
            raise EventUnreadable("`properties` is not an object")
        event.properties_json = json.dumps(properties).encode()
    return event


if TYPE_CHECKING:
    from headgate_sinks import Sink
    from headgate_sinks.sdk.host import Broken

_SECONDS = 60.0


def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Names of sinks. Default: all enabled ones.")
    ] = None,
    data_dir: Annotated[
        Path, typer.Option("--data-dir", metavar="DIR", help="Headgate's data directory.")
    ] = DEFAULT_DATA_DIR,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="The settings file. Default: ./headgate.toml if it exists."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check each sink's configuration and that its target answers. Writes nothing.

    Exits with 1 where one is not.
    """
    try:
        settings = read_settings(config, os.environ)
    except SettingsInvalid as error:
        fail(str(error))
    known = [sink.name for sink in settings.running_sinks]
    if unknown := sorted(set(names or ()) - set(known)):
        fail(f"no sink that runs is called {', '.join(unknown)}; there are: {', '.join(known) or 'none'}", 2)
    faults = asyncio.run(check_sinks(settings, names or known, data_dir.absolute(), dict(os.environ)))
    if as_json:
        rows = [{"sink": name, "ok": fault is None, "error": fault or ""} for name, fault in faults.items()]
        say(json.dumps(rows, indent=2))
    else:
        width = max(map(len, faults), default=0)
        for name, fault in faults.items():
            say(f"{name:{width}}  {'ok' if fault is None else f'FAILED  {fault}'}")
    if any(faults.values()):
        raise typer.Exit(1)


async def check_sinks(
    settings: Settings, names: Collection[str], data_dir: Path, environ: Mapping[str, str]
) -> dict[str, str | None]:
    """What is wrong with each of these sinks, and with the plugins that are loaded beside them; None: nothing."""
    from headgate_service.delivery.attempt import make_sink
    from headgate_sinks import Place
    from headgate_sinks.sdk.host import load

    chosen = [sink for sink in settings.running_sinks if sink.name in names]
    loaded = load((sink.use for sink in chosen), plugins=settings.forwarder.plugins)
    made = {
        sink.name: make_sink(
            sink.use, sink.config, loaded, Place(sink.name, data_dir, time.time, environ, loaded.resolve_secret)
        )
        for sink in chosen
    }
    faults = dict(zip(made, await asyncio.gather(*map(_fault, made.values())), strict=True))
    for plugin in settings.forwarder.plugins:
        if plugin in loaded.broken:
            faults[f"forwarder.plugins: {plugin}"] = loaded.broken[plugin].reason
    return faults


async def _fault(sink: "Sink[Any] | Broken") -> str | None:
    from headgate_sinks.sdk.host import Broken

    if isinstance(sink, Broken):
        return "\n".join(filter(None, (sink.reason, sink.details)))
    try:
        async with asyncio.timeout(_SECONDS):
            await sink.check()
    except TimeoutError:
        return f"no answer within {_SECONDS:g} s"
    # A plugin's code: whatever it raises is what is wrong with the sink.
    except Exception as error:  # noqa: BLE001
        return str(error) or type(error).__name__
    return None
