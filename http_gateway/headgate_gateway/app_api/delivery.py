"""/api/projects/{project}/sinks, /dead-letters and /events: what becomes of a project's events."""

from typing import Any

from headgate.v1 import delivery_service_pb2 as delivery
from headgate.v1 import project_delivery_service_pb2 as wire
from headgate.v1.project_delivery_service_pb2_grpc import ProjectDeliveryServiceStub
from headgate.v1.receipt_service_pb2 import SinkProgress
from headgate.v1.refused_request_pb2 import RefusedRequest

from headgate_gateway.app_api.fields import Field, Kind
from headgate_gateway.app_api.operation import Operation, rfc3339
from headgate_gateway.app_api.projects import PROJECT
from headgate_gateway.http.event_json import event_json

LETTERS = f"{PROJECT}/dead-letters"
# Of as many letters, or events that wait, as there may be.
LONG_SECONDS = 60.0
_STATES = {
    delivery.SINK_STATE_RUNNING: "running",
    delivery.SINK_STATE_RETRYING: "retrying",
    delivery.SINK_STATE_PAUSED: "paused",
    delivery.SINK_STATE_BROKEN: "broken",
    delivery.SINK_STATE_DISABLED: "disabled",
}
_SINK = Field("sink", required=True, description="The sink's name.")
_IDS = Field("ids", Kind.TEXTS, description="Letters' ids. Absent: all of the sink's.")


def sink_json(row: delivery.SinkRow) -> dict[str, Any]:
    """A sink's state and its books in the project: accepted = delivered + filtered + dead + pending."""
    return {
        "name": row.name,
        "use": row.use,
        "project": row.project,
        "state": _STATES.get(row.state, "unknown"),
        "accepted": row.accepted,
        "delivered": row.delivered,
        "filtered": row.filtered,
        "dead": row.dead,
        "pending": row.pending,
        "difference": row.difference,
        "lagSeconds": row.lag_seconds,
        "lastError": row.last_error,
    }


def letter_json(letter: delivery.DeadLetter) -> dict[str, Any]:
    """A dead letter, with its event where that was asked for."""
    return {
        "id": letter.id,
        "project": letter.project,
        "sink": letter.sink,
        "code": letter.code,
        "message": letter.message,
        "attempts": letter.attempts,
        "firstAttemptAt": rfc3339(letter.first_attempt_time),
        "deadAt": rfc3339(letter.dead_time),
        "events": letter.events,
        "retrying": letter.retrying,
        **({"replay": letter.replay} if letter.replay else {}),
    } | ({"event": event_json(letter.event)} if letter.HasField("event") else {})


LIST_SINKS = Operation(
    "GET",
    f"{PROJECT}/sinks",
    "A project's sinks and their books",
    lambda channel: ProjectDeliveryServiceStub(channel).ListProjectSinks,
    lambda asked: wire.ListProjectSinksRequest(project=asked.path["project"]),
    lambda found: {"sinks": [{**sink_json(row), "own": row.name in found.own} for row in found.sinks]},
    seconds=LONG_SECONDS,
)
SINK = f"{PROJECT}/sinks/{{sink}}"
PAUSE_SINK = Operation(
    "POST",
    f"{SINK}/pause",
    "Stop a sink that serves this project alone, until it is resumed; its events wait",
    lambda channel: ProjectDeliveryServiceStub(channel).PauseProjectSink,
    lambda asked: wire.PauseProjectSinkRequest(project=asked.path["project"], sink=asked.path["sink"]),
    lambda done: {"paused": True},
)
RESUME_SINK = Operation(
    "POST",
    f"{SINK}/resume",
    "Let a paused sink go on",
    lambda channel: ProjectDeliveryServiceStub(channel).ResumeProjectSink,
    lambda asked: wire.ResumeProjectSinkRequest(project=asked.path["project"], sink=asked.path["sink"]),
    lambda done: {"paused": False},
)
TEST_SINK = Operation(
    "POST",
    f"{SINK}/test",
    "Send one event, marked as a test, through a sink, and say what came of it",
    lambda channel: ProjectDeliveryServiceStub(channel).TestProjectSink,
    lambda asked: wire.TestProjectSinkRequest(project=asked.path["project"], sink=asked.path["sink"]),
    lambda done: {"eventId": done.event_id, "delivered": done.delivered, "message": done.message},
)
LIST_DEAD_LETTERS = Operation(
    "GET",
    LETTERS,
    "A project's dead letters, the oldest first",
    lambda channel: ProjectDeliveryServiceStub(channel).ListProjectDeadLetters,
    lambda asked: wire.ListProjectDeadLettersRequest(
        project=asked.path["project"], sink=asked.query.get("sink", ""), limit=asked.query.get("limit", 0)
    ),
    lambda found: {"deadLetters": [letter_json(letter) for letter in found.dead_letters]},
    query=(
        Field("sink", description="Only of this sink."),
        Field("limit", Kind.INTEGER, description="At most so many, default 100.", bounds=(1, 1000)),
    ),
    seconds=LONG_SECONDS,
)
GET_DEAD_LETTER = Operation(
    "GET",
    f"{LETTERS}/{{letter}}",
    "One dead letter with its event",
    lambda channel: ProjectDeliveryServiceStub(channel).GetProjectDeadLetter,
    lambda asked: wire.GetProjectDeadLetterRequest(project=asked.path["project"], id=asked.path["letter"]),
    lambda found: {"deadLetter": letter_json(found.dead_letter)},
)
RETRY_DEAD_LETTERS = Operation(
    "POST",
    f"{LETTERS}/retry",
    "Send dead letters' events again",
    lambda channel: ProjectDeliveryServiceStub(channel).RetryProjectDeadLetters,
    lambda asked: wire.RetryProjectDeadLettersRequest(
        project=asked.path["project"], sink=asked.body["sink"], ids=asked.body.get("ids", [])
    ),
    lambda done: {"queued": done.queued, "skipped": done.skipped},
    body=(_SINK, _IDS),
    seconds=LONG_SECONDS,
)
PURGE_DEAD_LETTERS = Operation(
    "POST",
    f"{LETTERS}/purge",
    "Delete dead letters; their events stay counted as dead",
    lambda channel: ProjectDeliveryServiceStub(channel).PurgeProjectDeadLetters,
    lambda asked: wire.PurgeProjectDeadLettersRequest(
        project=asked.path["project"], sink=asked.body["sink"], ids=asked.body.get("ids", [])
    ),
    lambda done: {"purged": done.purged, "skipped": done.skipped},
    body=(_SINK, _IDS),
    seconds=LONG_SECONDS,
)


def refused_json(refused: RefusedRequest) -> dict[str, Any]:
    """A refused request."""
    return {
        "id": refused.id,
        "at": rfc3339(refused.time),
        "api": refused.api,
        "reason": refused.reason,
        "message": refused.message,
        "faults": [
            {"index": one.index if one.HasField("index") else None, "field": one.field, "message": one.message}
            for one in refused.faults
        ],
        "events": refused.events,
        "payload": refused.payload,
        "payloadCut": refused.payload_cut,
        "payloadHidden": refused.payload_hidden,
    }


def _came(came: wire.TailProjectEventsResponse) -> dict[str, Any] | None:
    if came.HasField("refused"):
        return {"refused": refused_json(came.refused)}
    return event_json(came.event) if came.HasField("event") else None


def _place(progress: SinkProgress) -> dict[str, str]:
    states = ("pending", "delivered", "filtered", "dead")
    return {"sink": progress.sink, "state": next((one for one in states if getattr(progress, one)), "unknown")}


SEARCH_EVENTS = Operation(
    "GET",
    f"{PROJECT}/events/search",
    "Events among the latest 10,000 by event id, receipt, user, visitor or session, and where each is at every sink",
    lambda channel: ProjectDeliveryServiceStub(channel).SearchProjectEvents,
    lambda asked: wire.SearchProjectEventsRequest(project=asked.path["project"], text=asked.query["text"]),
    lambda found: {
        "events": [
            {"event": event_json(one.event), "sinks": [_place(progress) for progress in one.sinks]}
            for one in found.events
        ],
        "searched": found.searched,
        "complete": found.complete,
    },
    query=(Field("text", required=True, description="What is looked for, whole."),),
)
TAIL_EVENTS = Operation(
    "GET",
    f"{PROJECT}/events",
    "A project's events as they become durable: a line of JSON each, or server-sent events where these are asked for",
    lambda channel: ProjectDeliveryServiceStub(channel).TailProjectEvents,
    lambda asked: wire.TailProjectEventsRequest(
        project=asked.path["project"],
        last=asked.query.get("last", 0),
        no_follow=not asked.query.get("follow", True),
        refused=asked.query.get("refused", False),
    ),
    _came,
    query=(
        Field("last", Kind.INTEGER, description="So many of the latest events first.", bounds=(0, 1000)),
        Field("follow", Kind.FLAG, description="False: end after these instead of waiting for more."),
        Field("refused", Kind.FLAG, description='Refused requests too, each as {"refused": {...}}.'),
    ),
    seconds=3600.0,
    streams=True,
)

OPERATIONS = (
    LIST_SINKS,
    PAUSE_SINK,
    RESUME_SINK,
    TEST_SINK,
    LIST_DEAD_LETTERS,
    GET_DEAD_LETTER,
    RETRY_DEAD_LETTERS,
    PURGE_DEAD_LETTERS,
    SEARCH_EVENTS,
    TAIL_EVENTS,
)
