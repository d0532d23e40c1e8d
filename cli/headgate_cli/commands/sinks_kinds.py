"""`headgate sinks list` and `schema`: the kinds of sinks that installed packages provide."""

import json
import re
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from typing import Annotated

import typer

from headgate_cli.api.admin_socket import AsJson, fail
from headgate_cli.commands.new_package import read_package, write_package
from headgate_cli.output import say

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_MAX_NAME = 40
_FILES = {
    "pyproject.toml": "pyproject.toml.tmpl",
    "README.md": "README.md.tmpl",
    "src/$module/__init__.py": None,
    "src/$module/py.typed": None,
    "src/$module/sink.py": "sink.py.tmpl",
    "tests/test_$identifier.py": "test_sink.py.tmpl",
}


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What headgate.toml will call it: a-z, 0-9, hyphens.")],
) -> None:
    """Create ./NAME, a package with a working sink and its tests."""
    from headgate_sinks.sdk.host import installed

    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        fail(f"{name!r} can name no sink: take up to {_MAX_NAME} of a-z, 0-9 and inner hyphens, a letter first", 2)
    if installed(name):
        fail(f"an installed package provides the sink {name!r} already: take another name", 2)
    write_package(name, package(name))
    say(
        f"Wrote ./{name}, a sink that writes files until you change it. Try its tests, which need pytest:\n"
        f"  cd {name} && python -m pytest\n"
        "Install it where Headgate is, and name it in headgate.toml:\n"
        f"  pip install -e ./{name}\n"
        f'  [[sinks]]\n  name = "{name}"'
    )


def package(name: str) -> dict[str, str]:
    """The files of the package, by their paths in it."""
    identifier = name.replace("-", "_")
    words = {
        "name": name,
        "identifier": identifier,
        "module": f"headgate_sink_{identifier}",
        "class_name": "".join(part.capitalize() for part in name.split("-")),
    }
    return read_package("sink_package", _FILES, words)


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
    """List the installed kinds of sinks, and why one cannot be used."""
    kinds = installed_kinds()
    if as_json:
        say(json.dumps([asdict(kind) for kind in kinds], indent=2))
        return
    use, package = (max(map(len, column)) for column in zip(*((k.use, k.package) for k in kinds), strict=True))
    for kind in kinds:
        remark = kind.reason or ("" if "headgate_register_sinks" in kind.hooks else "no sink; " + ", ".join(kind.hooks))
        say(f"{kind.use:{use}}  {kind.package:{package}}  {kind.state:6}  {remark}".rstrip())
        for line in kind.traceback.splitlines():
            say(f"    {line}")


def schema(
    use: Annotated[str, typer.Argument(metavar="USE", help="The kind of sink, as headgate.toml's `use` calls it.")],
) -> None:
    """Print the JSON Schema of a kind's [sinks.config]."""
    from headgate_sinks.sdk.host import installed, load

    loaded = load([use])
    if use in loaded.broken:
        broken = loaded.broken[use]
        fail("\n".join(filter(None, (broken.reason, broken.details))), 1 if installed(use) else 2)
    say(json.dumps(loaded.sinks[use].Config.model_json_schema(), indent=2))


def installed_kinds() -> list[InstalledKind]:
    """Every plugin, by name. Imports them all."""
    from headgate_sinks import ENTRY_POINTS

    packages: dict[str, set[str]] = {}
    for point in entry_points(group=ENTRY_POINTS):
        package = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        packages.setdefault(point.name, set()).add(package)
    return [_kind(use, ", ".join(sorted(owners))) for use, owners in sorted(packages.items())]


def _kind(use: str, package: str) -> InstalledKind:
    from headgate_sinks.sdk.host import HOOKS, load

    loaded = load([], plugins=[use])
    hooks = [hook for plugin in loaded.plugins for hook in HOOKS if plugin.implements(hook)]
    if "headgate_register_sinks" in hooks:
        loaded = load([use])
    if broken := loaded.broken.get(use):
        return InstalledKind(use, package, "BROKEN", hooks, broken.reason, broken.details)
    return InstalledKind(use, package, "ok", hooks)
