from headgate.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LogEntry(_message.Message):
    __slots__ = ("dialect", "events", "dialect_name")
    DIALECT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    DIALECT_NAME_FIELD_NUMBER: _ClassVar[int]
    dialect: _event_pb2.Dialect
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    dialect_name: str
    def __init__(self, dialect: _Optional[_Union[_event_pb2.Dialect, str]] = ..., events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., dialect_name: _Optional[str] = ...) -> None: ...

class SealedBatch(_message.Message):
    __slots__ = ("ranges", "config_version", "spec_hash", "seal_time_ms", "fields", "parked")
    RANGES_FIELD_NUMBER: _ClassVar[int]
    CONFIG_VERSION_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    SEAL_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    PARKED_FIELD_NUMBER: _ClassVar[int]
    ranges: _containers.RepeatedCompositeFieldContainer[SealedRange]
    config_version: int
    spec_hash: bytes
    seal_time_ms: int
    fields: bytes
    parked: bool
    def __init__(self, ranges: _Optional[_Iterable[_Union[SealedRange, _Mapping]]] = ..., config_version: _Optional[int] = ..., spec_hash: _Optional[bytes] = ..., seal_time_ms: _Optional[int] = ..., fields: _Optional[bytes] = ..., parked: _Optional[bool] = ...) -> None: ...

class SealedRange(_message.Message):
    __slots__ = ("project_id", "after_entry", "last_entry", "after_seq", "last_seq", "bytes", "last_bytes", "selection", "counted", "route_errors")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_ENTRY_FIELD_NUMBER: _ClassVar[int]
    LAST_ENTRY_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    LAST_BYTES_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    ROUTE_ERRORS_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    after_entry: str
    last_entry: str
    after_seq: int
    last_seq: int
    bytes: int
    last_bytes: int
    selection: bytes
    counted: int
    route_errors: int
    def __init__(self, project_id: _Optional[str] = ..., after_entry: _Optional[str] = ..., last_entry: _Optional[str] = ..., after_seq: _Optional[int] = ..., last_seq: _Optional[int] = ..., bytes: _Optional[int] = ..., last_bytes: _Optional[int] = ..., selection: _Optional[bytes] = ..., counted: _Optional[int] = ..., route_errors: _Optional[int] = ...) -> None: ...
