"""`headgate sinks list` and `schema`: the kinds of sinks that installed packages provide."""

import json
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from typing import Annotated

import typer

from headgate_cli.admin_socket import AsJson, fail


@dataclass(frozen=True, slots=True)
class InstalledKind:
    """A plugin: `use` is what headgate.toml calls it by, `hooks` are those it has. `reason` is why it is BROKEN."""

    use: str
    package: str
    state: str
    hooks: list[str]
    reason: str = ""
    traceback: str = ""


def list_kinds(as_json: AsJson = False) -> None:
    """Show the kinds of sinks that are installed, and why one cannot be used."""
    kinds = installed_kinds()
    if as_json:
        typer.echo(json.dumps([asdict(kind) for kind in kinds], indent=2))
        return
    use, package = (max(map(len, column)) for column in zip(*((k.use, k.package) for k in kinds), strict=True))
    for kind in kinds:
        remark = kind.reason or ("" if "headgate_register_sinks" in kind.hooks else "no sink; " + ", ".join(kind.hooks))
        typer.echo(f"{kind.use:{use}}  {kind.package:{package}}  {kind.state:6}  {remark}".rstrip())
        for line in kind.traceback.splitlines():
            typer.echo(f"    {line}")


def schema(
    use: Annotated[str, typer.Argument(metavar="USE", help="The kind of sink, as headgate.toml's `use` calls it.")],
) -> None:
    """Print the JSON Schema of a kind's [sinks.config]."""
    from headgate_sinks.host import installed, load

    loaded = load([use])
    if use in loaded.broken:
        broken = loaded.broken[use]
        fail("\n".join(filter(None, (broken.reason, broken.details))), 1 if installed(use) else 2)
    typer.echo(json.dumps(loaded.sinks[use].Config.model_json_schema(), indent=2))


def installed_kinds() -> list[InstalledKind]:
    """Every plugin, by name. Imports them all."""
    from headgate_sinks import ENTRY_POINTS

    packages: dict[str, set[str]] = {}
    for point in entry_points(group=ENTRY_POINTS):
        package = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        packages.setdefault(point.name, set()).add(package)
    return [_kind(use, ", ".join(sorted(owners))) for use, owners in sorted(packages.items())]


def _kind(use: str, package: str) -> InstalledKind:
    from headgate_sinks.host import load
    from headgate_sinks.plugin import HOOKS

    loaded = load([], plugins=[use])
    hooks = [hook for plugin in loaded.plugins for hook in HOOKS if plugin.implements(hook)]
    if "headgate_register_sinks" in hooks:
        loaded = load([use])
    if broken := loaded.broken.get(use):
        return InstalledKind(use, package, "BROKEN", hooks, broken.reason, broken.details)
    return InstalledKind(use, package, "ok", hooks)
