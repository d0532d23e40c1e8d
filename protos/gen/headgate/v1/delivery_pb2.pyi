from headgate.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StoredRetry(_message.Message):
    __slots__ = ("project_id", "letter_id", "ordinal", "attempts", "first_ms", "event", "replay_id")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    LETTER_ID_FIELD_NUMBER: _ClassVar[int]
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FIRST_MS_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    REPLAY_ID_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    letter_id: str
    ordinal: int
    attempts: int
    first_ms: int
    event: _event_pb2.Event
    replay_id: str
    def __init__(self, project_id: _Optional[str] = ..., letter_id: _Optional[str] = ..., ordinal: _Optional[int] = ..., attempts: _Optional[int] = ..., first_ms: _Optional[int] = ..., event: _Optional[_Union[_event_pb2.Event, _Mapping]] = ..., replay_id: _Optional[str] = ...) -> None: ...

class StoredReplay(_message.Message):
    __slots__ = ("id", "sink", "start_ms", "rate", "ranges", "end", "route", "from_store")
    class End(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        END_UNSPECIFIED: _ClassVar[StoredReplay.End]
        END_DONE: _ClassVar[StoredReplay.End]
        END_CANCELLED: _ClassVar[StoredReplay.End]
    END_UNSPECIFIED: StoredReplay.End
    END_DONE: StoredReplay.End
    END_CANCELLED: StoredReplay.End
    ID_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    FROM_STORE_FIELD_NUMBER: _ClassVar[int]
    id: str
    sink: str
    start_ms: int
    rate: int
    ranges: _containers.RepeatedCompositeFieldContainer[StoredReplayRange]
    end: StoredReplay.End
    route: str
    from_store: bool
    def __init__(self, id: _Optional[str] = ..., sink: _Optional[str] = ..., start_ms: _Optional[int] = ..., rate: _Optional[int] = ..., ranges: _Optional[_Iterable[_Union[StoredReplayRange, _Mapping]]] = ..., end: _Optional[_Union[StoredReplay.End, str]] = ..., route: _Optional[str] = ..., from_store: _Optional[bool] = ...) -> None: ...

class StoredReplayRange(_message.Message):
    __slots__ = ("project_id", "shard", "after_seq", "last_seq", "last_entry", "last_bytes", "from_ms", "to_ms")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    LAST_ENTRY_FIELD_NUMBER: _ClassVar[int]
    LAST_BYTES_FIELD_NUMBER: _ClassVar[int]
    FROM_MS_FIELD_NUMBER: _ClassVar[int]
    TO_MS_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    shard: int
    after_seq: int
    last_seq: int
    last_entry: str
    last_bytes: int
    from_ms: int
    to_ms: int
    def __init__(self, project_id: _Optional[str] = ..., shard: _Optional[int] = ..., after_seq: _Optional[int] = ..., last_seq: _Optional[int] = ..., last_entry: _Optional[str] = ..., last_bytes: _Optional[int] = ..., from_ms: _Optional[int] = ..., to_ms: _Optional[int] = ...) -> None: ...
