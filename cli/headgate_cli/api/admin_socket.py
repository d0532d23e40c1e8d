"""The operator's way to a running Headgate: gRPC over the socket in its data directory."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import grpc
import typer

from headgate_cli.output import say

CALL_SECONDS = 15.0
# What an AF_UNIX address holds on the narrowest platform we run on.
MAX_SOCKET_PATH = 103

# Of many thousands of projects an answer has a row for each.
_OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", 256 * 1024 * 1024)]

DataDir = Annotated[Path, typer.Option("--data-dir", metavar="DIR", help="The data directory of a running Headgate.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_DATA_DIR = Path("headgate-data")


def socket_path(data_dir: Path) -> Path:
    """Where the Headgate that runs on `data_dir` listens for its operator."""
    return data_dir / "run" / "admin.sock"


@contextmanager
def admin_channel(data_dir: Path) -> Iterator[grpc.Channel]:
    """A channel to the Headgate that runs on `data_dir`.

    Whatever fails within is said on stderr, with what to do about it, and ends the command: with status 2 where the
    arguments are at fault, else with 1.
    """
    path = _shortest(socket_path(data_dir))
    if not path.exists():
        fail(nothing_runs(data_dir))
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        fail(f"the path of the socket is too long for this system: {path}\nRun the command from inside {data_dir}.")
    try:
        with grpc.insecure_channel(f"unix:{path}", options=_OPTIONS) as channel:
            yield channel
    except grpc.RpcError as error:
        _fail_with(error, data_dir)


def fail(message: str, status: int = 1) -> NoReturn:
    """Ends the command with `message` on stderr."""
    say(f"headgate: {message}", err=True)
    raise typer.Exit(status)


def nothing_runs(data_dir: Path) -> str:
    """What to tell a person whose Headgate does not answer."""
    shown = data_dir if data_dir.is_absolute() else f"./{data_dir}"
    option = "" if data_dir == DEFAULT_DATA_DIR else f" --data-dir {data_dir}"
    return f"no Headgate runs on {shown}: start one with `headgate up{option}`"


def _fail_with(error: grpc.RpcError, data_dir: Path) -> NoReturn:
    code, details = error.code(), error.details()
    if code is grpc.StatusCode.UNAVAILABLE and not serves(data_dir):
        fail(nothing_runs(data_dir))
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        fail(f"Headgate did not answer within {CALL_SECONDS:.0f} s: its log says why")
    fail(details or code.name, 2 if code is grpc.StatusCode.INVALID_ARGUMENT else 1)


def serves(data_dir: Path) -> bool:
    """Tells a Headgate that says UNAVAILABLE from none at all."""
    with grpc.insecure_channel(f"unix:{_shortest(socket_path(data_dir))}") as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=1.0)
        except grpc.FutureTimeoutError:
            return False
        return True


def _shortest(path: Path) -> Path:
    absolute = path.absolute()
    relative = Path(os.path.relpath(absolute)) if sys.platform != "win32" else absolute
    return min(absolute, relative, key=lambda candidate: len(os.fsencode(candidate)))
