"""`headgate dialects`: the ingestion APIs that are served or installed, and a package for another one."""

import json
import re
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from typing import Annotated

import typer

from headgate_cli.api.admin_socket import AsJson, fail
from headgate_cli.commands.new_package import read_package, write_package
from headgate_cli.output import say

dialects_app = typer.Typer(help="Ingestion APIs.", no_args_is_help=True)

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_MAX_NAME = 40
_FILES = {
    "pyproject.toml": "pyproject.toml.tmpl",
    "README.md": "README.md.tmpl",
    "src/$module/__init__.py": None,
    "src/$module/py.typed": None,
    "src/$module/dialect.py": "dialect.py.tmpl",
    "tests/test_$identifier.py": "test_dialect.py.tmpl",
    "tests/fixtures/signup.json": "fixture.json.tmpl",
}


@dataclass(frozen=True, slots=True)
class InstalledDialect:
    """One ingestion API, or a plugin that is BROKEN: `reason` says why, and `traceback` where it raised."""

    name: str
    package: str
    state: str
    paths: list[str]
    reason: str = ""
    traceback: str = ""


@dialects_app.callback()
def dialects() -> None:
    """Ingestion APIs."""


@dialects_app.command("list")
def list_dialects(as_json: AsJson = False) -> None:
    """Show the ingestion APIs that are installed, and why one cannot be served."""
    found = installed_dialects()
    if as_json:
        say(json.dumps([asdict(dialect) for dialect in found], indent=2))
        return
    name, package = (max(map(len, column)) for column in zip(*((d.name, d.package) for d in found), strict=True))
    for dialect in found:
        remark = dialect.reason or " ".join(dialect.paths)
        say(f"{dialect.name:{name}}  {dialect.package:{package}}  {dialect.state:6}  {remark}".rstrip())
        for line in dialect.traceback.splitlines():
            say(f"    {line}")


@dialects_app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What headgate.toml will call it: a-z, 0-9, hyphens.")],
) -> None:
    """Write ./NAME, a complete package with a dialect that takes events at once, and its tests."""
    from headgate_dialects.host import built_in, installed

    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        fail(f"{name!r} can name no dialect: take up to {_MAX_NAME} of a-z, 0-9 and inner hyphens, a letter first", 2)
    if installed(name) or name.replace("-", "_") in {dialect.api.name for dialect in built_in()}:
        fail(f"there is a dialect {name!r} already: take another name", 2)
    write_package(name, package(name))
    say(
        f"Wrote ./{name}, a dialect that takes events at /{name}/events. Try its tests, which need pytest:\n"
        f"  cd {name} && python -m pytest\n"
        "Install it where the gateway is, and name it in headgate.toml:\n"
        f"  pip install -e ./{name}\n"
        f'  [gateway]\n  dialects = ["{name}"]'
    )


def package(name: str) -> dict[str, str]:
    """The files of the package, by their paths in it."""
    parts = name.split("-")
    identifier = "_".join(parts)
    words = {
        "name": name,
        "identifier": identifier,
        "module": f"headgate_dialect_{identifier}",
        "class_name": "".join(part.capitalize() for part in parts),
        "title": " ".join(part.capitalize() for part in parts),
    }
    return read_package("dialect_package", _FILES, words)


def installed_dialects() -> list[InstalledDialect]:
    """Every dialect, the built-in ones first. Imports them all."""
    from headgate_dialects import ENTRY_POINTS
    from headgate_dialects.host import load

    packages: dict[str, set[str]] = {}
    for point in entry_points(group=ENTRY_POINTS):
        package = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        packages.setdefault(point.name, set()).add(package)
    loaded = load(sorted(packages))
    found = []
    for dialect in loaded.dialects:
        api, plugin = dialect.api, loaded.plugins[dialect.api.name]
        owners = ", ".join(sorted(packages[plugin])) if plugin else "headgate"
        found.append(InstalledDialect(api.name, owners, "ok", [route.path for route in api.routes]))
    for name, broken in loaded.broken.items():
        owners = ", ".join(sorted(packages[name]))
        found.append(InstalledDialect(name, owners, "BROKEN", [], broken.reason, broken.details))
    return found
