"""`headgate control-db`: the database of projects and people itself."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from headgate_cli.api.admin_socket import DEFAULT_DATA_DIR, fail, serves, socket_path
from headgate_cli.output import say
from headgate_cli.run.data_dir import DataDir
from headgate_cli.run.processes import database_url
from headgate_cli.settings.reader import SettingsInvalid, read_settings

control_db_app = typer.Typer(help="Manage the control database: projects, people and counters.", no_args_is_help=True)


@control_db_app.callback()
def control_db() -> None:
    """Manage the control database: projects, people and counters."""


@control_db_app.command()
def copy(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Of an empty database, such as postgresql://USER@HOST/NAME.")
    ],
    data_dir: Annotated[Path, typer.Option("--data-dir", metavar="DIR", help="Whose control DB.")] = DEFAULT_DATA_DIR,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="The settings file. Default: ./headgate.toml if it exists."),
    ] = None,
) -> None:
    """Copy the control DB into another database, while no service runs."""
    from headgate_service.control_db.database import ControlDb, DatabaseUrlInvalid, driven
    from headgate_service.control_db.transfer import TargetInUse, copy_all
    from headgate_service.errors import ControlDbUnavailable

    folder = DataDir(data_dir.absolute())
    if socket_path(data_dir).exists() and serves(data_dir):
        fail("a service runs on this data directory: stop it first, since what it writes meanwhile would be missing")
    try:
        source, target = database_url(read_settings(config, os.environ, {}), folder), driven(url)
    except (SettingsInvalid, DatabaseUrlInvalid) as error:
        fail(str(error))
    if source == target:
        fail("that database is the one in use: unset $HEADGATE_DATABASE_URL and control.database_url to copy the file")

    async def run() -> dict[str, int]:
        giving, taking = ControlDb(source), ControlDb(target)
        try:
            if giving.file is not None and not giving.file.exists():
                fail(f"there is no control DB at {giving.file}: give its --data-dir")
            return await copy_all(giving, taking)
        finally:
            await giving.close()
            await taking.close()

    try:
        copied = asyncio.run(run())
    except (TargetInUse, ControlDbUnavailable) as error:
        fail(str(error))
    rows = sum(copied.values())
    say(f"copied {rows} rows: now set control.database_url, or $HEADGATE_DATABASE_URL, for every process")
