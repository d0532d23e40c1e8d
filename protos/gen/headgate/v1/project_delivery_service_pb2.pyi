from headgate.v1 import delivery_service_pb2 as _delivery_service_pb2
from headgate.v1 import event_pb2 as _event_pb2
from headgate.v1 import receipt_service_pb2 as _receipt_service_pb2
from headgate.v1 import refused_request_pb2 as _refused_request_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListProjectSinksRequest(_message.Message):
    __slots__ = ("project",)
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    project: str
    def __init__(self, project: _Optional[str] = ...) -> None: ...

class ListProjectSinksResponse(_message.Message):
    __slots__ = ("sinks", "own")
    SINKS_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    sinks: _containers.RepeatedCompositeFieldContainer[_delivery_service_pb2.SinkRow]
    own: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, sinks: _Optional[_Iterable[_Union[_delivery_service_pb2.SinkRow, _Mapping]]] = ..., own: _Optional[_Iterable[str]] = ...) -> None: ...

class PauseProjectSinkRequest(_message.Message):
    __slots__ = ("project", "sink")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    project: str
    sink: str
    def __init__(self, project: _Optional[str] = ..., sink: _Optional[str] = ...) -> None: ...

class PauseProjectSinkResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResumeProjectSinkRequest(_message.Message):
    __slots__ = ("project", "sink")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    project: str
    sink: str
    def __init__(self, project: _Optional[str] = ..., sink: _Optional[str] = ...) -> None: ...

class ResumeProjectSinkResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TestProjectSinkRequest(_message.Message):
    __slots__ = ("project", "sink")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    project: str
    sink: str
    def __init__(self, project: _Optional[str] = ..., sink: _Optional[str] = ...) -> None: ...

class TestProjectSinkResponse(_message.Message):
    __slots__ = ("event_id", "delivered", "message")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    delivered: bool
    message: str
    def __init__(self, event_id: _Optional[str] = ..., delivered: _Optional[bool] = ..., message: _Optional[str] = ...) -> None: ...

class ListProjectDeadLettersRequest(_message.Message):
    __slots__ = ("project", "sink", "limit")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    project: str
    sink: str
    limit: int
    def __init__(self, project: _Optional[str] = ..., sink: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListProjectDeadLettersResponse(_message.Message):
    __slots__ = ("dead_letters",)
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    dead_letters: _containers.RepeatedCompositeFieldContainer[_delivery_service_pb2.DeadLetter]
    def __init__(self, dead_letters: _Optional[_Iterable[_Union[_delivery_service_pb2.DeadLetter, _Mapping]]] = ...) -> None: ...

class GetProjectDeadLetterRequest(_message.Message):
    __slots__ = ("project", "id")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    project: str
    id: str
    def __init__(self, project: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class GetProjectDeadLetterResponse(_message.Message):
    __slots__ = ("dead_letter",)
    DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    dead_letter: _delivery_service_pb2.DeadLetter
    def __init__(self, dead_letter: _Optional[_Union[_delivery_service_pb2.DeadLetter, _Mapping]] = ...) -> None: ...

class RetryProjectDeadLettersRequest(_message.Message):
    __slots__ = ("project", "sink", "ids")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    project: str
    sink: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, project: _Optional[str] = ..., sink: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ...) -> None: ...

class RetryProjectDeadLettersResponse(_message.Message):
    __slots__ = ("queued", "skipped")
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    queued: int
    skipped: int
    def __init__(self, queued: _Optional[int] = ..., skipped: _Optional[int] = ...) -> None: ...

class PurgeProjectDeadLettersRequest(_message.Message):
    __slots__ = ("project", "sink", "ids")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    project: str
    sink: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, project: _Optional[str] = ..., sink: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ...) -> None: ...

class PurgeProjectDeadLettersResponse(_message.Message):
    __slots__ = ("purged", "skipped")
    PURGED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    purged: int
    skipped: int
    def __init__(self, purged: _Optional[int] = ..., skipped: _Optional[int] = ...) -> None: ...

class TailProjectEventsRequest(_message.Message):
    __slots__ = ("project", "last", "no_follow", "refused")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    NO_FOLLOW_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    project: str
    last: int
    no_follow: bool
    refused: bool
    def __init__(self, project: _Optional[str] = ..., last: _Optional[int] = ..., no_follow: _Optional[bool] = ..., refused: _Optional[bool] = ...) -> None: ...

class TailProjectEventsResponse(_message.Message):
    __slots__ = ("event", "refused")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    event: _event_pb2.Event
    refused: _refused_request_pb2.RefusedRequest
    def __init__(self, event: _Optional[_Union[_event_pb2.Event, _Mapping]] = ..., refused: _Optional[_Union[_refused_request_pb2.RefusedRequest, _Mapping]] = ...) -> None: ...

class SearchProjectEventsRequest(_message.Message):
    __slots__ = ("project", "text")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    project: str
    text: str
    def __init__(self, project: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class FoundEvent(_message.Message):
    __slots__ = ("event", "sinks")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    SINKS_FIELD_NUMBER: _ClassVar[int]
    event: _event_pb2.Event
    sinks: _containers.RepeatedCompositeFieldContainer[_receipt_service_pb2.SinkProgress]
    def __init__(self, event: _Optional[_Union[_event_pb2.Event, _Mapping]] = ..., sinks: _Optional[_Iterable[_Union[_receipt_service_pb2.SinkProgress, _Mapping]]] = ...) -> None: ...

class SearchProjectEventsResponse(_message.Message):
    __slots__ = ("events", "searched", "complete")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    SEARCHED_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[FoundEvent]
    searched: int
    complete: bool
    def __init__(self, events: _Optional[_Iterable[_Union[FoundEvent, _Mapping]]] = ..., searched: _Optional[int] = ..., complete: _Optional[bool] = ...) -> None: ...
