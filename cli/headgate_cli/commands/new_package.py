"""Writes the package of a plugin, from the templates of a folder beside the commands."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from headgate_cli.api.admin_socket import fail


def read_package(folder: str, templates: Mapping[str, str | None], words: Mapping[str, str]) -> dict[str, str]:
    """The files of a package by their paths in it: of each path, its template in `folder`, or None for an empty file.
    `words` are put in both."""
    return {
        Template(path).substitute(words): ""
        if template is None
        else Template((files("headgate_cli") / folder / template).read_text(encoding="utf-8")).substitute(words)
        for path, template in templates.items()
    }


def write_package(name: str, texts: Mapping[str, str]) -> None:
    """Writes ./`name`, which must be free. Ends the command where it cannot."""
    folder = Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail(f"./{name} already exists: choose another name, or move it")
    try:
        for path, text in texts.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"./{name} cannot be written: {error.strerror}")
