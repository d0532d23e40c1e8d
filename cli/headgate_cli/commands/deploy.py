"""`headgate deploy`: compiles headgate.yaml, shows what it changes, and makes it the project's active config."""

import errno
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from headgate_gateway.app_api import deploys as api
from headgate_service.errors import PolicyInvalid
from headgate_service.policy.compiled_config import CompiledConfig
from headgate_service.policy.headgate_yaml import compile_yaml
from headgate_service.policy.policy import Policy

from headgate_cli.api.admin_socket import AsJson, fail
from headgate_cli.api.reach import OperatorDir, reach
from headgate_cli.output import say, show_json, show_table

OUTCOME_COLUMNS = ("event", "before", "after", "events")
PATH_COLUMNS = ("path", "events")
SINK_COLUMNS = ("sink", "before", "after", "gained", "lost")


def show_preview(preview: Mapping[str, Any], asked: int) -> None:
    """Shows what would differ over stored events, and of how many that is true."""
    events = preview["events"]
    if not events:
        say("No events are stored to judge.")
        return
    say(f"Over the latest {events} events, since {preview['from']}:")
    if not preview["complete"]:
        say(f"  ({asked} were asked for; these are as many as there was time for)")
    _section("events treated otherwise", preview["outcomes"], OUTCOME_COLUMNS)
    _section("places stored otherwise", preview["paths"], PATH_COLUMNS)
    _section("sinks of the project's own", preview["sinks"], SINK_COLUMNS)
    say("Stored events are past the policies of their time: what those dropped or refused is not among them.")


def _section(title: str, rows: Any, columns: tuple[str, ...]) -> None:
    say(f"\n{title}:")
    show_table(rows, columns, "  none")


def read_config(file: Path) -> CompiledConfig:
    """The compiled config of a file. What is wrong with it is said on stderr and ends the command."""

    def read_beside(name: str) -> str:
        return (file.parent / name).read_text(encoding="utf-8")

    def read_below(name: str) -> str:
        folder = file.parent.resolve()
        wanted = (folder / name).resolve()
        if not wanted.is_relative_to(folder):
            raise PermissionError(errno.EACCES, f"it is not below the folder of {file.name}")
        return wanted.read_text(encoding="utf-8")

    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", 2)
    except UnicodeDecodeError:
        fail(f"{file} is not UTF-8", 2)
    try:
        compiled = compile_yaml(text, read_below, os.environ, read_beside)
        # Whose hashes these would be matters to nobody here.
        Policy.parse(compiled.canonical(), project_id="", secret=b"")
    except PolicyInvalid as error:
        fail("\n  ".join([f"{file} is not valid, and nothing was deployed:", *map(str, error.faults)]))
    return compiled


if TYPE_CHECKING:
    from headgate_service.deploys.deploys import ConfigChange

COLUMNS = ("version", "active", "createdAt", "createdBy", "changed")
_VALUE_CHARACTERS = 60

deploy_app = typer.Typer()

Key = Annotated[
    str | None,
    typer.Option("--key", envvar="HEADGATE_SECRET_KEY", metavar="sk_...", help="The project's secret key."),
]
ProjectOption = Annotated[
    str | None, typer.Option("--project", help="The project, by slug or id. Default: the secret key's.")
]


@deploy_app.callback(invoke_without_command=True)
def deploy(
    context: typer.Context,
    file: Annotated[Path, typer.Option("--file", "-f", metavar="FILE", help="What to deploy.")] = Path("headgate.yaml"),
    key: Key = None,
    project: ProjectOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change without changing it.")] = False,
    last: Annotated[
        int | None,
        typer.Option(
            min=1, max=10_000, metavar="N", help="With --dry-run: also try the config on the latest N stored events."
        ),
    ] = None,
    compile_only: Annotated[
        bool, typer.Option("--compile", help="Print the compiled config without sending it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Compile headgate.yaml, show what it changes, and make it the project's active config within 5 seconds.

    It takes the project's secret key and a login as an admin of the project; the operator names the project instead.
    """
    if context.invoked_subcommand is not None:
        return
    config = read_config(file)
    compiled, sent = config.canonical(), config.sent()
    if compile_only:
        show_json(compiled)
        return
    way, named = reach(data_dir), _named(project, key, compiled)
    if not way.operator and not key:
        fail("a deploy takes the project's secret key: give --key or set HEADGATE_SECRET_KEY", 2)
    active = way.call(api.GET_DEPLOY, {"version": "active"}, named, key=key)
    changes = _compare(active["config"], compiled)
    if config.sinks:
        # Only the service can tell whether their secrets are those that are active.
        judged = way.call(api.DEPLOY, {}, {**named, "validate": 1}, sent, key=key)
        changes = [change for change in changes if change.path in judged["changed"]]
    if not as_json:
        _show(active["version"], changes)
    if last is not None and not dry_run:
        fail("--last is for --dry-run: it shows what would differ", 2)
    if dry_run and last is not None:
        done = way.call(api.PREVIEW_DEPLOY, {}, {**named, "last": last}, sent, key=key)
    elif dry_run:
        done = way.call(api.DEPLOY, {}, {**named, "validate": 1}, sent, key=key)
    else:
        if changes and not yes and sys.stdin.isatty() and not typer.confirm("Deploy it?"):
            fail("nothing was deployed")
        done = way.call(api.DEPLOY, {}, named, sent, key=key)
    if as_json:
        show_json(done | ({"dryRun": True} if dry_run else {}))
    elif dry_run:
        if last is not None:
            show_preview(done, last)
        say("Valid. Nothing was deployed.")
    else:
        say(f"Version {done['version']} is {'active' if changes else 'already active'}.")


@deploy_app.command()
def history(
    key: Key = None,
    project: ProjectOption = None,
    limit: Annotated[int, typer.Option(help="How many to show at most.", min=1, max=100)] = 20,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """List the versions of a project's config, newest first."""
    found = reach(data_dir).call(api.LIST_DEPLOYS, {}, {**_named(project, key), "limit": limit}, key=key)
    if as_json:
        show_json(found)
    else:
        show_table(found["deploys"], COLUMNS, "no deploys yet")


@deploy_app.command()
def show(
    version: Annotated[str, typer.Argument(metavar="[VERSION]", help="Default: the active one.")] = "active",
    key: Key = None,
    project: ProjectOption = None,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Print the compiled config of a version."""
    found = reach(data_dir).call(api.GET_DEPLOY, {"version": version}, _named(project, key), key=key)
    show_json(found if as_json else found["config"])


@deploy_app.command()
def activate(
    version: Annotated[int, typer.Argument(metavar="VERSION", help="0: no config, as before the first deploy.", min=0)],
    key: Key = None,
    project: ProjectOption = None,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Activate an earlier version: in force within 5 seconds."""
    done = reach(data_dir).call(api.ACTIVATE_DEPLOY, {"version": str(version)}, _named(project, key), key=key)
    if as_json:
        show_json(done)
    else:
        say(f"Version {done['version']} is active. Changed: {', '.join(done['changed']) or 'nothing'}")


def _named(project: str | None, key: str | None, compiled: Mapping[str, Any] | None = None) -> dict[str, str]:
    """How the request names its project, where it must: the key does, too."""
    named = project or (None if key else (compiled or {}).get("project"))
    return {"project": named} if named else {}


def _compare(active: Mapping[str, Any] | None, compiled: Mapping[str, Any]) -> "list[ConfigChange]":
    # They take a third of a second to load, which no other command should.
    from headgate_service.deploys.deploys import config_changes
    from headgate_service.policy.compiled_config import NO_CONFIG

    return config_changes(active or NO_CONFIG, compiled)


def _show(version: int, changes: "Sequence[ConfigChange]") -> None:
    say(f"Against version {version}:" if version else "Against no config:")
    for change in changes:
        say(f"  {change.path}: {_value(change.before)} -> {_value(change.after)}")
    if not changes:
        say("  nothing changes")


def _value(value: Any) -> str:
    text = "none" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE_CHARACTERS else f"{text[:_VALUE_CHARACTERS]}..."
