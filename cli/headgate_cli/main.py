"""The `headgate` command."""

import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from headgate_cli.api.admin_socket import DEFAULT_DATA_DIR, fail
from headgate_cli.commands.control_db import control_db_app
from headgate_cli.commands.deploy import deploy_app
from headgate_cli.commands.dialects import dialects_app
from headgate_cli.commands.events import events_app
from headgate_cli.commands.key import key_app
from headgate_cli.commands.login import login, logout, whoami
from headgate_cli.commands.member import member_app
from headgate_cli.commands.project import project_app
from headgate_cli.commands.receipt import receipt
from headgate_cli.commands.sinks import sinks_app
from headgate_cli.commands.store import store_app
from headgate_cli.commands.usage import audit, usage
from headgate_cli.commands.user import user_app
from headgate_cli.output import say
from headgate_cli.run.data_dir import DataDir
from headgate_cli.run.logs import write_logs
from headgate_cli.run.processes import Place, run_forwarder, run_gateway, run_service, run_store
from headgate_cli.settings.reader import SettingsInvalid, read_settings
from headgate_cli.settings.settings import Settings

app = typer.Typer(
    name="headgate",
    help="An event gateway whose books balance.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(project_app, name="project")
app.add_typer(key_app, name="key")
app.add_typer(deploy_app, name="deploy")
app.add_typer(events_app, name="events")
app.add_typer(dialects_app, name="dialects")
app.add_typer(sinks_app, name="sinks")
app.add_typer(store_app, name="store")
app.add_typer(member_app, name="member")
app.add_typer(user_app, name="user")
app.add_typer(control_db_app, name="control-db")
for command in (login, logout, whoami, usage, audit, receipt):
    app.command()(command)

DataDirOption = Annotated[Path, typer.Option("--data-dir", metavar="DIR", help="Headgate's data directory.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The settings file. Default: ./headgate.toml if it exists."),
]
HttpOption = Annotated[
    str | None, typer.Option("--http", metavar="HOST:PORT", help="The address of the JSON APIs. Port 0: any free port.")
]
GrpcOption = Annotated[
    str | None, typer.Option("--grpc", metavar="HOST:PORT", help="The address of gRPC. Port 0: any free port.")
]


@app.callback(invoke_without_command=True)
def headgate(
    show_version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True)] = False,
) -> None:
    """An event gateway whose books balance."""
    if show_version:
        say(f"headgate {version('headgate')}")
        raise typer.Exit


@app.command()
def up(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    http: HttpOption = None,
    grpc: GrpcOption = None,
    config: ConfigOption = None,
) -> None:
    """Run everything, in one data directory, until SIGTERM or Ctrl-C."""
    from headgate_cli.run.up import FAILURES
    from headgate_cli.run.up import up as run_up

    settings = _settings(config, http=http, grpc=grpc)
    write_logs("up")
    try:
        run_up(settings, DataDir(data_dir.absolute()))
    except FAILURES as error:
        fail(str(error))


@app.command()
def gateway(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    http: HttpOption = None,
    config: ConfigOption = None,
) -> None:
    """Run a gateway alone: the JSON APIs, in front of a service that runs elsewhere."""
    _process("gateway", run_gateway, data_dir, lambda: _settings(config, http=http))


@app.command()
def service(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    grpc: GrpcOption = None,
    config: ConfigOption = None,
) -> None:
    """Run a service alone: gRPC, limits, the writer of the log, projects and keys."""
    _process("service", run_service, data_dir, lambda: _settings(config, grpc=grpc))


@app.command()
def forward(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    config: ConfigOption = None,
) -> None:
    """Run a forwarder alone: it writes events from the log to the sinks."""

    def run(settings: Settings, place: Place) -> None:
        run_forwarder(settings, place, dict(os.environ))

    _process("forwarder", run, data_dir, lambda: _settings(config))


@store_app.callback(invoke_without_command=True)
def store(
    context: typer.Context,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    config: ConfigOption = None,
) -> None:
    """Run a store alone: the embedded analytics engine, behind ClickHouse's HTTP protocol."""
    if context.invoked_subcommand is None:
        _process("store", run_store, data_dir, lambda: _settings(config))


def _process(
    name: str,
    run: Callable[[Settings, Place], None],
    data_dir: Path,
    read: Callable[[], Settings],
) -> None:
    write_logs(name)
    settings, place = read(), Place(DataDir(data_dir.absolute()), supervised=False)
    place.data_dir.make()
    try:
        run(settings, place)
    except SettingsInvalid as error:
        fail(str(error))


def _settings(config: Path | None, http: str | None = None, grpc: str | None = None) -> Settings:
    try:
        return read_settings(config, os.environ, {("http", "address"): http, ("grpc", "address"): grpc})
    except SettingsInvalid as error:
        fail(str(error))
