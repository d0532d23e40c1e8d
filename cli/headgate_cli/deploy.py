"""`headgate deploy`: compiles headgate.yaml, shows what it changes, and makes it the project's active config."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from headgate_gateway.app_api import deploys as api

from headgate_cli.admin_socket import AsJson, fail
from headgate_cli.deploy_preview import show_preview
from headgate_cli.reach import OperatorDir, reach
from headgate_cli.show import show_json, show_table

if TYPE_CHECKING:
    from headgate_service.policy.config_changes import ConfigChange

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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    last: Annotated[
        int | None,
        typer.Option(
            min=1, max=10_000, metavar="N", help="With --dry-run: run it over the latest N stored events, too."
        ),
    ] = None,
    compile_only: Annotated[
        bool, typer.Option("--compile", help="Print the compiled config, and send nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Compile headgate.yaml, show what it changes, and make it the project's active config within 5 seconds.

    It takes the project's secret key and a login as an admin of the project; the operator names the project instead.
    """
    if context.invoked_subcommand is not None:
        return
    # They take a third of a second to load, which no other command should.
    from headgate_service.policy.compiled_config import NO_CONFIG
    from headgate_service.policy.config_changes import config_changes

    from headgate_cli.headgate_yaml import read_config

    config = read_config(file)
    compiled, sent = config.canonical(), config.sent()
    if compile_only:
        show_json(compiled)
        return
    way, named = reach(data_dir), _named(project, key, compiled)
    if not way.operator and not key:
        fail("a deploy takes the project's secret key: give --key or set HEADGATE_SECRET_KEY", 2)
    active = way.call(api.GET_DEPLOY, {"version": "active"}, named, key=key)
    changes = config_changes(active["config"] or NO_CONFIG, compiled)
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
        typer.echo("Valid. Nothing was deployed.")
    else:
        typer.echo(
            f"Version {done['version']} is active." if changes else f"Version {done['version']} is active already."
        )


@deploy_app.command()
def history(
    key: Key = None,
    project: ProjectOption = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=100)] = 20,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """List the versions of a project's config, newest first."""
    found = reach(data_dir).call(api.LIST_DEPLOYS, {}, {**_named(project, key), "limit": limit}, key=key)
    if as_json:
        show_json(found)
    else:
        show_table(found["deploys"], COLUMNS, "nothing was deployed yet")


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
    version: Annotated[int, typer.Argument(metavar="VERSION", help="0: none, as before the first deploy.", min=0)],
    key: Key = None,
    project: ProjectOption = None,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a version the active one again, within 5 seconds: roll back."""
    done = reach(data_dir).call(api.ACTIVATE_DEPLOY, {"version": str(version)}, _named(project, key), key=key)
    if as_json:
        show_json(done)
    else:
        typer.echo(f"Version {done['version']} is active. Changed: {', '.join(done['changed']) or 'nothing'}")


def _named(project: str | None, key: str | None, compiled: Mapping[str, Any] | None = None) -> dict[str, str]:
    """How the request names its project, where it must: the key does, too."""
    named = project or (None if key else (compiled or {}).get("project"))
    return {"project": named} if named else {}


def _show(version: int, changes: "Sequence[ConfigChange]") -> None:
    typer.echo(f"Against version {version}:" if version else "Against no config:")
    for change in changes:
        typer.echo(f"  {change.path}: {_value(change.before)} -> {_value(change.after)}")
    if not changes:
        typer.echo("  nothing changes")


def _value(value: Any) -> str:
    text = "none" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE_CHARACTERS else f"{text[:_VALUE_CHARACTERS]}..."
