import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_ACCEPTED: _ClassVar[Outcome]
    OUTCOME_DUPLICATE: _ClassVar[Outcome]
    OUTCOME_DROPPED: _ClassVar[Outcome]
    OUTCOME_REFUSED: _ClassVar[Outcome]

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    REASON_INVALID: _ClassVar[Reason]
    REASON_TOO_LARGE: _ClassVar[Reason]
    REASON_BATCH_REFUSED: _ClassVar[Reason]
    REASON_SCHEMA: _ClassVar[Reason]
    REASON_SAMPLED: _ClassVar[Reason]
    REASON_SWITCHED_OFF: _ClassVar[Reason]
    REASON_IGNORED_ENVIRONMENT: _ClassVar[Reason]
    REASON_NOT_AN_OBJECT: _ClassVar[Reason]

class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAUSE_UNSPECIFIED: _ClassVar[Cause]
    CAUSE_CREDENTIAL_MISSING: _ClassVar[Cause]
    CAUSE_CREDENTIAL_INVALID: _ClassVar[Cause]
    CAUSE_CREDENTIAL_KIND: _ClassVar[Cause]
    CAUSE_SCOPE_MISSING: _ClassVar[Cause]
    CAUSE_PROJECT_FORBIDDEN: _ClassVar[Cause]
    CAUSE_PROJECT_GONE: _ClassVar[Cause]
    CAUSE_ORIGIN_FORBIDDEN: _ClassVar[Cause]
    CAUSE_INVALID: _ClassVar[Cause]
    CAUSE_TOO_LARGE: _ClassVar[Cause]
    CAUSE_IDEMPOTENCY_MISMATCH: _ClassVar[Cause]
    CAUSE_RATE_LIMITED: _ClassVar[Cause]
    CAUSE_QUOTA_EXCEEDED: _ClassVar[Cause]
    CAUSE_UNAVAILABLE: _ClassVar[Cause]
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_ACCEPTED: Outcome
OUTCOME_DUPLICATE: Outcome
OUTCOME_DROPPED: Outcome
OUTCOME_REFUSED: Outcome
REASON_UNSPECIFIED: Reason
REASON_INVALID: Reason
REASON_TOO_LARGE: Reason
REASON_BATCH_REFUSED: Reason
REASON_SCHEMA: Reason
REASON_SAMPLED: Reason
REASON_SWITCHED_OFF: Reason
REASON_IGNORED_ENVIRONMENT: Reason
REASON_NOT_AN_OBJECT: Reason
CAUSE_UNSPECIFIED: Cause
CAUSE_CREDENTIAL_MISSING: Cause
CAUSE_CREDENTIAL_INVALID: Cause
CAUSE_CREDENTIAL_KIND: Cause
CAUSE_SCOPE_MISSING: Cause
CAUSE_PROJECT_FORBIDDEN: Cause
CAUSE_PROJECT_GONE: Cause
CAUSE_ORIGIN_FORBIDDEN: Cause
CAUSE_INVALID: Cause
CAUSE_TOO_LARGE: Cause
CAUSE_IDEMPOTENCY_MISMATCH: Cause
CAUSE_RATE_LIMITED: Cause
CAUSE_QUOTA_EXCEEDED: Cause
CAUSE_UNAVAILABLE: Cause

class EventResult(_message.Message):
    __slots__ = ("index", "outcome", "reason", "event_id", "receive_time", "field", "message", "warnings")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    index: int
    outcome: Outcome
    reason: Reason
    event_id: str
    receive_time: _timestamp_pb2.Timestamp
    field: str
    message: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, index: _Optional[int] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., reason: _Optional[_Union[Reason, str]] = ..., event_id: _Optional[str] = ..., receive_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., field: _Optional[str] = ..., message: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("cause", "message", "retry_after", "limit", "used", "faults", "faults_left_out")
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    FAULTS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    cause: Cause
    message: str
    retry_after: _duration_pb2.Duration
    limit: int
    used: int
    faults: _containers.RepeatedCompositeFieldContainer[EventFault]
    faults_left_out: int
    def __init__(self, cause: _Optional[_Union[Cause, str]] = ..., message: _Optional[str] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., limit: _Optional[int] = ..., used: _Optional[int] = ..., faults: _Optional[_Iterable[_Union[EventFault, _Mapping]]] = ..., faults_left_out: _Optional[int] = ...) -> None: ...

class EventFault(_message.Message):
    __slots__ = ("index", "field", "message")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    index: int
    field: str
    message: str
    def __init__(self, index: _Optional[int] = ..., field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class LimitState(_message.Message):
    __slots__ = ("rate", "month")
    RATE_FIELD_NUMBER: _ClassVar[int]
    MONTH_FIELD_NUMBER: _ClassVar[int]
    rate: Window
    month: Window
    def __init__(self, rate: _Optional[_Union[Window, _Mapping]] = ..., month: _Optional[_Union[Window, _Mapping]] = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("limit", "used", "length", "reset")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    limit: int
    used: int
    length: _duration_pb2.Duration
    reset: _duration_pb2.Duration
    def __init__(self, limit: _Optional[int] = ..., used: _Optional[int] = ..., length: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
