"""`headgate sinks replay`: sends what the log still holds to a sink once more."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import delivery_service_pb2 as wire
from headgate.v1.delivery_service_pb2_grpc import DeliveryServiceStub

from headgate_cli.api.admin_socket import CALL_SECONDS, DEFAULT_DATA_DIR, AsJson, DataDir, admin_channel, fail
from headgate_cli.output import columns, say

STATES = {
    wire.REPLAY_STATE_UNSPECIFIED: "unknown",
    wire.REPLAY_STATE_RUNNING: "running",
    wire.REPLAY_STATE_DONE: "done",
    wire.REPLAY_STATE_CANCELLED: "cancelled",
}
SHOWN = ("id", "sink", "state", "startedAt", "selected", "delivered", "filtered", "dead", "pending", "rate", "route")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
START_SECONDS = 60.0


class Source(StrEnum):
    """Where a replay reads events."""

    log = "log"
    store = "store"


SOURCES = {Source.log: wire.REPLAY_SOURCE_LOG, Source.store: wire.REPLAY_SOURCE_STORE}


def replay(
    name: Annotated[str, typer.Argument(metavar="NAME|status|cancel", help="The sink's name, or a subcommand.")],
    replay_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="With `cancel`: the id of the replay.")
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Events received since; say so, or `--all`.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Events received before; default: now.")
    ] = None,
    project: Annotated[
        list[str] | None,
        typer.Option(help="Of this project, by slug or id; repeat for more. Default: all of the sink."),
    ] = None,
    rate: Annotated[
        str | None, typer.Option(metavar="N/s", help="At most this many events a second; default: no limit.")
    ] = None,
    route: Annotated[
        str | None,
        typer.Option(
            metavar="CEL", help="Only events for which this condition is true; written like a sink's `route`."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is kept, where no range is given.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="On a terminal, do not ask before it begins.")] = False,
    source: Annotated[
        Source, typer.Option(help="What is read: the log, as far as it is kept, or the store, which holds everything.")
    ] = Source.log,
    preview: Annotated[bool, typer.Option("--preview", help="Only count the events that would be sent.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Send what the log still holds to a sink once more, with the same event ids, beside what comes in.

    TIME is 2026-11-21T08:00:00Z, 2026-11-21 for the start of that day in UTC, or so long ago: 90s, 30m, 6h, 2d.
    `replay status` shows all replays and `replay cancel ID` ends one.
    """
    if name == "status":
        _show(data_dir, as_json)
    elif name == "cancel":
        _cancel(replay_id, data_dir, as_json)
    elif replay_id is not None:
        fail(f"what is {replay_id!r}? A replay takes the name of one sink", 2)
    else:
        now, limit = datetime.now(UTC), _rate(rate)
        chosen = wire.ReplayRange(
            sink=name,
            projects=project or [],
            from_time=_time("--from", begin, now),
            to_time=_time("--to", end, now),
            route=route or "",
            source=SOURCES[source],
        )
        if preview:
            _preview(chosen, data_dir, as_json)
        elif begin is None and end is None and not everything:
            fail("say which events: `--from TIME`, `--to TIME`, or `--all` for all that are kept", 2)
        elif yes or _confirmed(chosen, data_dir):
            _start(chosen, limit, data_dir, as_json)


def _confirmed(chosen: wire.ReplayRange, data_dir: DataDir) -> bool:
    """What a person says to the count; nobody else is asked."""
    if not sys.stdin.isatty():
        return True
    return typer.confirm(f"{_counted(chosen, _previewed(chosen, data_dir))}. Go on?", err=True)


def _previewed(chosen: wire.ReplayRange, data_dir: DataDir) -> wire.PreviewReplayResponse:
    with admin_channel(data_dir) as channel:
        answer: wire.PreviewReplayResponse = DeliveryServiceStub(channel).PreviewReplay(
            wire.PreviewReplayRequest(range=chosen), timeout=START_SECONDS
        )
    return answer


def _preview(chosen: wire.ReplayRange, data_dir: DataDir, as_json: bool) -> None:
    answer = _previewed(chosen, data_dir)
    if as_json:
        shown = {
            "events": answer.events,
            "projects": answer.projects,
            "picked": answer.picked,
            "lookedAt": answer.looked_at,
        }
        say(json.dumps(shown))
    else:
        say(_counted(chosen, answer))


def _counted(chosen: wire.ReplayRange, answer: wire.PreviewReplayResponse) -> str:
    if answer.looked_at < answer.events:
        return (
            f"{answer.picked} of the oldest {answer.looked_at} events would be sent to {chosen.sink}; there are "
            f"{answer.events} in all, of {answer.projects} projects"
        )
    return f"{answer.picked} events of {answer.projects} projects would be sent to {chosen.sink}"


def _start(chosen: wire.ReplayRange, rate: int, data_dir: DataDir, as_json: bool) -> None:
    with admin_channel(data_dir) as channel:
        answer: wire.StartReplayResponse = DeliveryServiceStub(channel).StartReplay(
            wire.StartReplayRequest(range=chosen, rate=rate), timeout=START_SECONDS
        )
    shown = replay_json(answer.replay)
    if as_json:
        say(json.dumps({"replay": shown}))
    else:
        say(f"replay {shown['id']}: {shown['selected']} events go to {shown['sink']}")


def _show(data_dir: DataDir, as_json: bool) -> None:
    with admin_channel(data_dir) as channel:
        answer: wire.ListReplaysResponse = DeliveryServiceStub(channel).ListReplays(
            wire.ListReplaysRequest(), timeout=CALL_SECONDS
        )
    rows = [replay_json(one) for one in answer.replays]
    if as_json:
        say(json.dumps({"replays": rows}))
    else:
        say("\n".join(columns(SHOWN, rows)) if rows else "no replays")


def _cancel(replay_id: str | None, data_dir: DataDir, as_json: bool) -> None:
    if replay_id is None:
        fail("say which: `headgate sinks replay cancel ID`", 2)
    with admin_channel(data_dir) as channel:
        DeliveryServiceStub(channel).CancelReplay(wire.CancelReplayRequest(id=replay_id), timeout=CALL_SECONDS)
    say(json.dumps({"id": replay_id, "state": "cancelled"}) if as_json else f"replay {replay_id} ends")


def replay_json(replay: wire.Replay) -> dict[str, Any]:
    """A replay as JSON; its rate is 0 where it has none."""
    return {
        "id": replay.id,
        "sink": replay.sink,
        "state": STATES.get(replay.state, "unknown"),
        "startedAt": replay.start_time.ToJsonString(),
        "selected": replay.selected,
        "delivered": replay.delivered,
        "filtered": replay.filtered,
        "dead": replay.dead,
        "pending": replay.pending,
        "rate": replay.rate,
        "route": replay.route,
    }


def _time(option: str, text: str | None, now: datetime) -> Timestamp | None:
    if text is None:
        return None
    moment = Timestamp()
    if ago := re.fullmatch(r"(\d{1,9})([smhd])", text):
        moment.FromDatetime(now - timedelta(seconds=int(ago[1]) * UNITS[ago[2]]))
        return moment
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option}: {text!r} is not a time: give one as 2026-11-21T08:00:00Z, or as 6h for six hours ago", 2)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        parsed = parsed.replace(tzinfo=UTC)
    if parsed.tzinfo is None:
        fail(f"{option}: {text!r} has no time zone: add Z for UTC", 2)
    moment.FromDatetime(parsed.astimezone(UTC))
    return moment


def _rate(text: str | None) -> int:
    if text is None:
        return 0
    found = re.fullmatch(r"([1-9]\d{0,8})(/s)?", text)
    if found is None:
        fail(f"--rate: {text!r} is not a rate: give one as 100/s", 2)
    return int(found[1])
