"""The embedded engine: ClickHouse as a library, alone in its process, with its data in one folder.

A process can have one folder open, and must not fork afterwards: a query in the fork hangs.
"""

import contextlib
import ctypes
import importlib.machinery
import importlib.util
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from headgate_sinks.transport.clickhouse import DATABASE, quoted

ENGINE_WANTED = (
    "the embedded store needs the package chdb-core, which has wheels for Linux with glibc (x86-64, ARM) and macOS: "
    "install it where it can be had, or set [store] url to a ClickHouse server, or [store] enabled = false"
)


def engine_installed() -> bool:
    """Whether there is a library to load."""
    return importlib.util.find_spec("chdb") is not None


_CODE = re.compile(r"Code: (\d+)\. ")
_RTLD_DEEPBIND = 0x8
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EngineMissing(Exception):
    """There is no engine for this machine; the message says what to install."""


class EngineError(Exception):
    """The engine refused or gave up. `code` is ClickHouse's number of the error, 0 where there is none."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        found = _CODE.match(message)
        self.code = int(found[1]) if found else 0


class Engine:
    """The engine on a folder. Every call gets a session of its own, which costs 0.3 ms; call from any thread.

    `options` are its start-up arguments, such as `max_server_memory_usage`. Raises EngineMissing.
    """

    def __init__(self, folder: Path, options: Mapping[str, str] | None = None) -> None:
        self._library = _load()
        # The handlers it would set end the process without a word.
        self._library.set_signal_handlers_enabled(0)
        given = "&".join(f"{name}={value}" for name, value in (options or {}).items())
        self._place = f"{folder}?{given}" if given else str(folder)
        # What is open keeps the engine running between calls.
        self._kept = self._library.connect(self._place)
        self._kept.query(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")

    @contextlib.contextmanager
    def session(
        self, database: str = DATABASE, settings: Mapping[str, str] | None = None, before: Sequence[str] = ()
    ) -> Iterator[Any]:
        """A connection of the library with these settings, in which the statements `before` ran. Raises EngineError."""
        connection = self._library.connect(self._place)
        try:
            with engine_errors():
                connection.query("USE " + quoted_name(database))
                if settings:
                    connection.query("SET " + ", ".join(f"{_setting(k)} = {quoted(v)}" for k, v in settings.items()))
                for statement in before:
                    connection.query(statement)
            yield connection
        finally:
            connection.close()

    def query(
        self,
        statement: str,
        parameters: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        *,
        database: str = DATABASE,
        form: str = "TabSeparated",
    ) -> bytes:
        """The answer, in the format `form` where the statement names none. Raises EngineError."""
        with self.session(database, settings) as connection, engine_errors():
            answer: bytes = connection.query(statement, form, params=dict(parameters or {})).bytes()
            return answer

    def insert(
        self,
        statement: str,
        form: str,
        data: bytes,
        settings: Mapping[str, str] | None = None,
        database: str = DATABASE,
    ) -> int:
        """Rows written of `data`, which is in the format `form`. The statement names neither format nor settings.
        Raises EngineError."""
        with self.session(database, settings) as session:
            return int(insert_rows(session, statement, "", form, data).rows_written())

    def close(self) -> None:
        """Ends the engine, where no session is open any more. A second call does nothing."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()


def insert_rows(session: Any, statement: str, rest: str, form: str, data: bytes | memoryview) -> Any:
    """The library's result of an insert of `data`. `rest` follows the statement's columns, such as its settings.

    The library's own way to hand rows over, `send_insert`, is of no use: where they cannot be written (a constraint, a
    full disk) it says that they are. Raises EngineError.
    """
    with _file_of(data) as path, engine_errors():
        return session.query(f"{statement} FROM INFILE {quoted(path)} {rest} FORMAT {form}", "TabSeparated")


@contextlib.contextmanager
def _file_of(data: bytes | memoryview) -> Iterator[str]:
    if hasattr(os, "memfd_create"):
        held = os.memfd_create("headgate-rows", os.MFD_CLOEXEC)
        with os.fdopen(held, "wb", buffering=0) as file:
            _write_whole(file, data)
            yield f"/proc/self/fd/{held}"
        return
    with tempfile.NamedTemporaryFile("wb", prefix="headgate-rows-") as named:
        named.write(data)
        named.flush()
        yield named.name


def _write_whole(file: io.FileIO, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) or 0 :]


@contextlib.contextmanager
def engine_errors() -> Iterator[None]:
    """Turns the library's errors, which are RuntimeErrors with a text, into EngineError."""
    try:
        yield
    except RuntimeError as error:
        raise EngineError(str(error)) from None


def quoted_name(name: str) -> str:
    """A name, such as that of a database."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _setting(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise EngineError(f"Code: 115. DB::Exception: Unknown setting {quoted(name)}. (UNKNOWN_SETTING)")
    return name


def _load() -> Any:
    # Not by its package, which loads pyarrow and numpy (0.4 s, 50 MB) and opens an engine only to ask its version.
    found = importlib.util.find_spec("chdb")
    if found is None or found.origin is None:
        raise EngineMissing(ENGINE_WANTED)
    folder = Path(found.origin).parent
    file = str(folder / "_chdb.abi3.so")
    before = Path.cwd()
    # It looks for a library of its own in the working directory.
    os.chdir(folder)
    try:
        if sys.platform == "linux":
            # Its allocator must not be another's.
            ctypes.CDLL(file, mode=sys.getdlopenflags() | _RTLD_DEEPBIND)
        loader = importlib.machinery.ExtensionFileLoader("_chdb", file)
        library = importlib.util.module_from_spec(importlib.util.spec_from_loader("_chdb", loader) or _no_spec(file))
        loader.exec_module(library)
    except (OSError, ImportError) as error:
        raise EngineMissing(f"chdb-core cannot be loaded here: {error}") from None
    finally:
        os.chdir(before)
    return library


def _no_spec(file: str) -> importlib.machinery.ModuleSpec:
    raise ImportError(f"{file} is not a library")
