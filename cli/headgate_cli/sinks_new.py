"""`headgate sinks new`: writes a package with a sink of somebody's own."""

import re
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from headgate_cli.admin_socket import fail

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_NAME = 40
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
    """Write ./NAME, a complete package with a sink that delivers at once, and its tests."""
    from headgate_sinks.host import installed

    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        fail(f"{name!r} can name no sink: take up to {_LONGEST_NAME} of a-z, 0-9 and inner hyphens, a letter first", 2)
    if installed(name):
        fail(f"an installed package provides the sink {name!r} already: take another name", 2)
    folder = Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail(f"./{name} is there already: take another name, or move it away")
    try:
        for path, text in package(name).items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"./{name} cannot be written: {error.strerror}")
    typer.echo(
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
    templates = files("headgate_cli") / "sink_package"
    return {
        Template(path).substitute(words): ""
        if template is None
        else Template((templates / template).read_text(encoding="utf-8")).substitute(words)
        for path, template in _FILES.items()
    }
