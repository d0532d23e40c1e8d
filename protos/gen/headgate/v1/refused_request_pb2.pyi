import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headgate.v1 import outcome_pb2 as _outcome_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RefusedRequest(_message.Message):
    __slots__ = ("id", "time", "api", "reason", "message", "faults", "events", "payload", "payload_cut", "payload_hidden")
    ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    API_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_CUT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_HIDDEN_FIELD_NUMBER: _ClassVar[int]
    id: str
    time: _timestamp_pb2.Timestamp
    api: str
    reason: str
    message: str
    faults: _containers.RepeatedCompositeFieldContainer[_outcome_pb2.EventFault]
    events: int
    payload: str
    payload_cut: bool
    payload_hidden: bool
    def __init__(self, id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., api: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., faults: _Optional[_Iterable[_Union[_outcome_pb2.EventFault, _Mapping]]] = ..., events: _Optional[int] = ..., payload: _Optional[str] = ..., payload_cut: _Optional[bool] = ..., payload_hidden: _Optional[bool] = ...) -> None: ...
