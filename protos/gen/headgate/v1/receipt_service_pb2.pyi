import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetReceiptRequest(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: str
    def __init__(self, receipt: _Optional[str] = ...) -> None: ...

class GetReceiptResponse(_message.Message):
    __slots__ = ("receipt", "received", "accepted", "duplicate", "dropped", "refused", "durable", "receive_time", "sinks", "log_lost_time")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    SINKS_FIELD_NUMBER: _ClassVar[int]
    LOG_LOST_TIME_FIELD_NUMBER: _ClassVar[int]
    receipt: str
    received: int
    accepted: int
    duplicate: int
    dropped: int
    refused: int
    durable: bool
    receive_time: _timestamp_pb2.Timestamp
    sinks: _containers.RepeatedCompositeFieldContainer[SinkProgress]
    log_lost_time: _timestamp_pb2.Timestamp
    def __init__(self, receipt: _Optional[str] = ..., received: _Optional[int] = ..., accepted: _Optional[int] = ..., duplicate: _Optional[int] = ..., dropped: _Optional[int] = ..., refused: _Optional[int] = ..., durable: _Optional[bool] = ..., receive_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sinks: _Optional[_Iterable[_Union[SinkProgress, _Mapping]]] = ..., log_lost_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SinkProgress(_message.Message):
    __slots__ = ("sink", "pending", "delivered", "filtered", "dead", "not_tracked")
    SINK_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    FILTERED_FIELD_NUMBER: _ClassVar[int]
    DEAD_FIELD_NUMBER: _ClassVar[int]
    NOT_TRACKED_FIELD_NUMBER: _ClassVar[int]
    sink: str
    pending: int
    delivered: int
    filtered: int
    dead: int
    not_tracked: int
    def __init__(self, sink: _Optional[str] = ..., pending: _Optional[int] = ..., delivered: _Optional[int] = ..., filtered: _Optional[int] = ..., dead: _Optional[int] = ..., not_tracked: _Optional[int] = ...) -> None: ...
