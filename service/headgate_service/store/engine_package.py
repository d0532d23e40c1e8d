"""Whether the embedded engine can be had here, without loading it."""

import importlib.util

ENGINE_WANTED = (
    "the embedded store needs the package chdb-core, which has wheels for Linux with glibc (x86-64, ARM) and macOS: "
    "install it where it can be had, or set [store] url to a ClickHouse server, or [store] enabled = false"
)


def engine_installed() -> bool:
    """Whether there is a library to load."""
    return importlib.util.find_spec("chdb") is not None
