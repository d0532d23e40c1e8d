"""What kinds of third-party sinks are like, found out in processes of their own that end at once."""

import os
import socket
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from google.protobuf.message import DecodeError
from headgate.v1 import plugin_pb2
from headgate_sinks import Spec
from headgate_sinks.sdk.host import Broken

from headgate_service.delivery.attempt import bounded
from headgate_service.delivery.plugin_worker.channel import FrameUnreadable, described, frame, receive_frame
from headgate_service.delivery.plugin_worker.environment import plugin_environment
from headgate_service.delivery.plugin_worker.process import COMMAND, step_back

_MAX_AT_ONCE = 4


def inspect(uses: Iterable[str], seconds: float) -> dict[str, Spec | Broken]:
    """The spec of each kind, or why there is none, at the latest after so many seconds each. Blocks."""
    asked = list(dict.fromkeys(uses))
    with ThreadPoolExecutor(_MAX_AT_ONCE) as threads:
        return dict(zip(asked, threads.map(lambda use: _inspect(use, seconds), asked), strict=True))


def _inspect(use: str, seconds: float) -> Spec | Broken:
    own, theirs = socket.socketpair()
    with own:
        with theirs:
            process = subprocess.Popen(  # noqa: S603 (our own command)
                COMMAND,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=plugin_environment(os.environ),
                start_new_session=True,
            )
        step_back(process.pid)
        try:
            own.settimeout(seconds)
            setup = plugin_pb2.PluginSetup(use=use, kind_only=True)
            own.sendall(frame(plugin_pb2.PluginRequest(id=1, setup=setup)))
            content = receive_frame(own)
        except TimeoutError:
            return Broken(use, f"the plugin of the sink {use!r} did not load within {seconds:g} s")
        except (FrameUnreadable, OSError) as error:
            return Broken(use, f"the plugin of the sink {use!r} could not be loaded: {error}")
        finally:
            process.kill()
            process.wait()
    if content is None:
        return Broken(use, f"the plugin of the sink {use!r} ended the process that loaded it")
    try:
        answer = plugin_pb2.PluginAnswer.FromString(content)
    except DecodeError as error:
        return Broken(use, f"the plugin of the sink {use!r} could not be loaded: {error}")
    if answer.WhichOneof("answer") == "broken":
        return bounded(Broken(use, answer.broken.reason, answer.broken.details))
    return described(answer.description)[0]
