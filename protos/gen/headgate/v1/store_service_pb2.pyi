import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeleteUserRequest(_message.Message):
    __slots__ = ("project", "user")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    project: str
    user: str
    def __init__(self, project: _Optional[str] = ..., user: _Optional[str] = ...) -> None: ...

class DeleteUserResponse(_message.Message):
    __slots__ = ("deleted", "first_receive_time", "last_receive_time", "remaining")
    DELETED_FIELD_NUMBER: _ClassVar[int]
    FIRST_RECEIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_RECEIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    deleted: int
    first_receive_time: _timestamp_pb2.Timestamp
    last_receive_time: _timestamp_pb2.Timestamp
    remaining: int
    def __init__(self, deleted: _Optional[int] = ..., first_receive_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_receive_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., remaining: _Optional[int] = ...) -> None: ...

class SetRetentionRequest(_message.Message):
    __slots__ = ("project", "keep")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    project: str
    keep: _duration_pb2.Duration
    def __init__(self, project: _Optional[str] = ..., keep: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SetRetentionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CheckStoreRequest(_message.Message):
    __slots__ = ("projects", "accept")
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    projects: _containers.RepeatedScalarFieldContainer[str]
    accept: bool
    def __init__(self, projects: _Optional[_Iterable[str]] = ..., accept: _Optional[bool] = ...) -> None: ...

class CheckStoreResponse(_message.Message):
    __slots__ = ("checks", "damaged_parts", "settled")
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_PARTS_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    checks: _containers.RepeatedCompositeFieldContainer[StoreCheck]
    damaged_parts: _containers.RepeatedCompositeFieldContainer[DamagedPart]
    settled: int
    def __init__(self, checks: _Optional[_Iterable[_Union[StoreCheck, _Mapping]]] = ..., damaged_parts: _Optional[_Iterable[_Union[DamagedPart, _Mapping]]] = ..., settled: _Optional[int] = ...) -> None: ...

class StoreCheck(_message.Message):
    __slots__ = ("project", "expected", "rows", "excused", "missing", "surplus", "hours")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    EXCUSED_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    SURPLUS_FIELD_NUMBER: _ClassVar[int]
    HOURS_FIELD_NUMBER: _ClassVar[int]
    project: str
    expected: int
    rows: int
    excused: int
    missing: int
    surplus: int
    hours: _containers.RepeatedCompositeFieldContainer[StoreCheckHour]
    def __init__(self, project: _Optional[str] = ..., expected: _Optional[int] = ..., rows: _Optional[int] = ..., excused: _Optional[int] = ..., missing: _Optional[int] = ..., surplus: _Optional[int] = ..., hours: _Optional[_Iterable[_Union[StoreCheckHour, _Mapping]]] = ...) -> None: ...

class StoreCheckHour(_message.Message):
    __slots__ = ("begin_time", "expected", "rows")
    BEGIN_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    begin_time: _timestamp_pb2.Timestamp
    expected: int
    rows: int
    def __init__(self, begin_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expected: _Optional[int] = ..., rows: _Optional[int] = ...) -> None: ...

class DamagedPart(_message.Message):
    __slots__ = ("name", "reason", "month")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MONTH_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    month: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ..., month: _Optional[str] = ...) -> None: ...

class GetStoreStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStoreStatusResponse(_message.Message):
    __slots__ = ("rows", "bytes", "first_receive_time", "last_receive_time", "damaged_parts", "replay", "missing")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    FIRST_RECEIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_RECEIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_PARTS_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    rows: int
    bytes: int
    first_receive_time: _timestamp_pb2.Timestamp
    last_receive_time: _timestamp_pb2.Timestamp
    damaged_parts: _containers.RepeatedCompositeFieldContainer[DamagedPart]
    replay: str
    missing: int
    def __init__(self, rows: _Optional[int] = ..., bytes: _Optional[int] = ..., first_receive_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_receive_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., damaged_parts: _Optional[_Iterable[_Union[DamagedPart, _Mapping]]] = ..., replay: _Optional[str] = ..., missing: _Optional[int] = ...) -> None: ...
