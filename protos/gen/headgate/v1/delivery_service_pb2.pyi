import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headgate.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SinkState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SINK_STATE_UNSPECIFIED: _ClassVar[SinkState]
    SINK_STATE_RUNNING: _ClassVar[SinkState]
    SINK_STATE_RETRYING: _ClassVar[SinkState]
    SINK_STATE_PAUSED: _ClassVar[SinkState]
    SINK_STATE_BROKEN: _ClassVar[SinkState]
    SINK_STATE_DISABLED: _ClassVar[SinkState]

class ReplaySource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPLAY_SOURCE_UNSPECIFIED: _ClassVar[ReplaySource]
    REPLAY_SOURCE_LOG: _ClassVar[ReplaySource]
    REPLAY_SOURCE_STORE: _ClassVar[ReplaySource]

class ReplayState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPLAY_STATE_UNSPECIFIED: _ClassVar[ReplayState]
    REPLAY_STATE_RUNNING: _ClassVar[ReplayState]
    REPLAY_STATE_DONE: _ClassVar[ReplayState]
    REPLAY_STATE_CANCELLED: _ClassVar[ReplayState]
SINK_STATE_UNSPECIFIED: SinkState
SINK_STATE_RUNNING: SinkState
SINK_STATE_RETRYING: SinkState
SINK_STATE_PAUSED: SinkState
SINK_STATE_BROKEN: SinkState
SINK_STATE_DISABLED: SinkState
REPLAY_SOURCE_UNSPECIFIED: ReplaySource
REPLAY_SOURCE_LOG: ReplaySource
REPLAY_SOURCE_STORE: ReplaySource
REPLAY_STATE_UNSPECIFIED: ReplayState
REPLAY_STATE_RUNNING: ReplayState
REPLAY_STATE_DONE: ReplayState
REPLAY_STATE_CANCELLED: ReplayState

class ListSinksRequest(_message.Message):
    __slots__ = ("projects",)
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    projects: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, projects: _Optional[_Iterable[str]] = ...) -> None: ...

class ListSinksResponse(_message.Message):
    __slots__ = ("sinks",)
    SINKS_FIELD_NUMBER: _ClassVar[int]
    sinks: _containers.RepeatedCompositeFieldContainer[SinkRow]
    def __init__(self, sinks: _Optional[_Iterable[_Union[SinkRow, _Mapping]]] = ...) -> None: ...

class SinkRow(_message.Message):
    __slots__ = ("name", "use", "project", "state", "accepted", "delivered", "filtered", "dead", "pending", "difference", "lag_seconds", "last_error")
    NAME_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    FILTERED_FIELD_NUMBER: _ClassVar[int]
    DEAD_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    name: str
    use: str
    project: str
    state: SinkState
    accepted: int
    delivered: int
    filtered: int
    dead: int
    pending: int
    difference: int
    lag_seconds: float
    last_error: str
    def __init__(self, name: _Optional[str] = ..., use: _Optional[str] = ..., project: _Optional[str] = ..., state: _Optional[_Union[SinkState, str]] = ..., accepted: _Optional[int] = ..., delivered: _Optional[int] = ..., filtered: _Optional[int] = ..., dead: _Optional[int] = ..., pending: _Optional[int] = ..., difference: _Optional[int] = ..., lag_seconds: _Optional[float] = ..., last_error: _Optional[str] = ...) -> None: ...

class PauseSinkRequest(_message.Message):
    __slots__ = ("sink",)
    SINK_FIELD_NUMBER: _ClassVar[int]
    sink: str
    def __init__(self, sink: _Optional[str] = ...) -> None: ...

class PauseSinkResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResumeSinkRequest(_message.Message):
    __slots__ = ("sink",)
    SINK_FIELD_NUMBER: _ClassVar[int]
    sink: str
    def __init__(self, sink: _Optional[str] = ...) -> None: ...

class ResumeSinkResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TestSinkRequest(_message.Message):
    __slots__ = ("sink",)
    SINK_FIELD_NUMBER: _ClassVar[int]
    sink: str
    def __init__(self, sink: _Optional[str] = ...) -> None: ...

class TestSinkResponse(_message.Message):
    __slots__ = ("event_id", "delivered", "message")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    delivered: bool
    message: str
    def __init__(self, event_id: _Optional[str] = ..., delivered: _Optional[bool] = ..., message: _Optional[str] = ...) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ("sink", "project", "limit", "replay")
    SINK_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    sink: str
    project: str
    limit: int
    replay: str
    def __init__(self, sink: _Optional[str] = ..., project: _Optional[str] = ..., limit: _Optional[int] = ..., replay: _Optional[str] = ...) -> None: ...

class ListDeadLettersResponse(_message.Message):
    __slots__ = ("dead_letters",)
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    dead_letters: _containers.RepeatedCompositeFieldContainer[DeadLetter]
    def __init__(self, dead_letters: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("id", "project", "sink", "code", "message", "attempts", "first_attempt_time", "dead_time", "events", "event", "retrying", "replay")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FIRST_ATTEMPT_TIME_FIELD_NUMBER: _ClassVar[int]
    DEAD_TIME_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    RETRYING_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    id: str
    project: str
    sink: str
    code: str
    message: str
    attempts: int
    first_attempt_time: _timestamp_pb2.Timestamp
    dead_time: _timestamp_pb2.Timestamp
    events: int
    event: _event_pb2.Event
    retrying: bool
    replay: str
    def __init__(self, id: _Optional[str] = ..., project: _Optional[str] = ..., sink: _Optional[str] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., attempts: _Optional[int] = ..., first_attempt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., dead_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., events: _Optional[int] = ..., event: _Optional[_Union[_event_pb2.Event, _Mapping]] = ..., retrying: _Optional[bool] = ..., replay: _Optional[str] = ...) -> None: ...

class GetDeadLetterRequest(_message.Message):
    __slots__ = ("project", "id")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    project: str
    id: str
    def __init__(self, project: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class GetDeadLetterResponse(_message.Message):
    __slots__ = ("dead_letter",)
    DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    dead_letter: DeadLetter
    def __init__(self, dead_letter: _Optional[_Union[DeadLetter, _Mapping]] = ...) -> None: ...

class RetryDeadLettersRequest(_message.Message):
    __slots__ = ("sink", "project", "ids", "replay")
    SINK_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    sink: str
    project: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    replay: str
    def __init__(self, sink: _Optional[str] = ..., project: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ..., replay: _Optional[str] = ...) -> None: ...

class RetryDeadLettersResponse(_message.Message):
    __slots__ = ("queued", "skipped")
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    queued: int
    skipped: int
    def __init__(self, queued: _Optional[int] = ..., skipped: _Optional[int] = ...) -> None: ...

class PurgeDeadLettersRequest(_message.Message):
    __slots__ = ("sink", "project", "ids", "replay")
    SINK_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    sink: str
    project: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    replay: str
    def __init__(self, sink: _Optional[str] = ..., project: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ..., replay: _Optional[str] = ...) -> None: ...

class PurgeDeadLettersResponse(_message.Message):
    __slots__ = ("purged", "skipped")
    PURGED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    purged: int
    skipped: int
    def __init__(self, purged: _Optional[int] = ..., skipped: _Optional[int] = ...) -> None: ...

class ReplayRange(_message.Message):
    __slots__ = ("sink", "projects", "from_time", "to_time", "route", "source")
    SINK_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_FIELD_NUMBER: _ClassVar[int]
    TO_TIME_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    sink: str
    projects: _containers.RepeatedScalarFieldContainer[str]
    from_time: _timestamp_pb2.Timestamp
    to_time: _timestamp_pb2.Timestamp
    route: str
    source: ReplaySource
    def __init__(self, sink: _Optional[str] = ..., projects: _Optional[_Iterable[str]] = ..., from_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., to_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., route: _Optional[str] = ..., source: _Optional[_Union[ReplaySource, str]] = ...) -> None: ...

class PreviewReplayRequest(_message.Message):
    __slots__ = ("range",)
    RANGE_FIELD_NUMBER: _ClassVar[int]
    range: ReplayRange
    def __init__(self, range: _Optional[_Union[ReplayRange, _Mapping]] = ...) -> None: ...

class PreviewReplayResponse(_message.Message):
    __slots__ = ("events", "projects", "picked", "looked_at")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    PICKED_FIELD_NUMBER: _ClassVar[int]
    LOOKED_AT_FIELD_NUMBER: _ClassVar[int]
    events: int
    projects: int
    picked: int
    looked_at: int
    def __init__(self, events: _Optional[int] = ..., projects: _Optional[int] = ..., picked: _Optional[int] = ..., looked_at: _Optional[int] = ...) -> None: ...

class StartReplayRequest(_message.Message):
    __slots__ = ("range", "rate")
    RANGE_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    range: ReplayRange
    rate: int
    def __init__(self, range: _Optional[_Union[ReplayRange, _Mapping]] = ..., rate: _Optional[int] = ...) -> None: ...

class StartReplayResponse(_message.Message):
    __slots__ = ("replay",)
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    replay: Replay
    def __init__(self, replay: _Optional[_Union[Replay, _Mapping]] = ...) -> None: ...

class Replay(_message.Message):
    __slots__ = ("id", "sink", "state", "start_time", "selected", "delivered", "filtered", "dead", "pending", "rate", "route")
    ID_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    SELECTED_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    FILTERED_FIELD_NUMBER: _ClassVar[int]
    DEAD_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    id: str
    sink: str
    state: ReplayState
    start_time: _timestamp_pb2.Timestamp
    selected: int
    delivered: int
    filtered: int
    dead: int
    pending: int
    rate: int
    route: str
    def __init__(self, id: _Optional[str] = ..., sink: _Optional[str] = ..., state: _Optional[_Union[ReplayState, str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., selected: _Optional[int] = ..., delivered: _Optional[int] = ..., filtered: _Optional[int] = ..., dead: _Optional[int] = ..., pending: _Optional[int] = ..., rate: _Optional[int] = ..., route: _Optional[str] = ...) -> None: ...

class ListReplaysRequest(_message.Message):
    __slots__ = ("sink",)
    SINK_FIELD_NUMBER: _ClassVar[int]
    sink: str
    def __init__(self, sink: _Optional[str] = ...) -> None: ...

class ListReplaysResponse(_message.Message):
    __slots__ = ("replays",)
    REPLAYS_FIELD_NUMBER: _ClassVar[int]
    replays: _containers.RepeatedCompositeFieldContainer[Replay]
    def __init__(self, replays: _Optional[_Iterable[_Union[Replay, _Mapping]]] = ...) -> None: ...

class CancelReplayRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class CancelReplayResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
