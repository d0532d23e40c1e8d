"""`headgate sinks check`: asks each configured sink whether its target is there."""

import asyncio
import json
import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate_cli.admin_socket import DEFAULT_DATA_DIR, AsJson, fail
from headgate_cli.settings import Settings, SettingsInvalid, read_settings

if TYPE_CHECKING:
    from headgate_sinks import Sink
    from headgate_sinks.host import Broken

_SECONDS = 60.0


def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Sinks. Default: all that run.")
    ] = None,
    data_dir: Annotated[
        Path, typer.Option("--data-dir", metavar="DIR", help="Where Headgate keeps everything.")
    ] = DEFAULT_DATA_DIR,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="The settings. Default: ./headgate.toml, where there is one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask each configured sink whether its configuration is good and its target there, without writing anything.

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
        typer.echo(json.dumps(rows, indent=2))
    else:
        width = max(map(len, faults), default=0)
        for name, fault in faults.items():
            typer.echo(f"{name:{width}}  {'ok' if fault is None else f'FAILED  {fault}'}")
    if any(faults.values()):
        raise typer.Exit(1)


async def check_sinks(
    settings: Settings, names: Collection[str], data_dir: Path, environ: Mapping[str, str]
) -> dict[str, str | None]:
    """What is wrong with each of these sinks, and with the plugins that are loaded beside them; None: nothing."""
    from headgate_service.delivery.configured_sink import make_sink
    from headgate_sinks import Place
    from headgate_sinks.host import load

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
    from headgate_sinks.host import Broken

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
