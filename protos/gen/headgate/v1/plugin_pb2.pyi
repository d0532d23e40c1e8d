from headgate.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PluginRequest(_message.Message):
    __slots__ = ("id", "setup", "open", "check", "write", "cancel", "close", "resolve", "observe")
    ID_FIELD_NUMBER: _ClassVar[int]
    SETUP_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    WRITE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    RESOLVE_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_FIELD_NUMBER: _ClassVar[int]
    id: int
    setup: PluginSetup
    open: PluginOpen
    check: PluginCheck
    write: PluginWrite
    cancel: PluginCancel
    close: PluginClose
    resolve: PluginResolve
    observe: PluginObserve
    def __init__(self, id: _Optional[int] = ..., setup: _Optional[_Union[PluginSetup, _Mapping]] = ..., open: _Optional[_Union[PluginOpen, _Mapping]] = ..., check: _Optional[_Union[PluginCheck, _Mapping]] = ..., write: _Optional[_Union[PluginWrite, _Mapping]] = ..., cancel: _Optional[_Union[PluginCancel, _Mapping]] = ..., close: _Optional[_Union[PluginClose, _Mapping]] = ..., resolve: _Optional[_Union[PluginResolve, _Mapping]] = ..., observe: _Optional[_Union[PluginObserve, _Mapping]] = ...) -> None: ...

class PluginAnswer(_message.Message):
    __slots__ = ("id", "description", "broken", "outcome", "beat", "secret", "secrets", "references")
    ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    BROKEN_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    BEAT_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    id: int
    description: SinkDescription
    broken: PluginBroken
    outcome: SinkOutcome
    beat: PluginBeat
    secret: PluginSecret
    secrets: _containers.RepeatedScalarFieldContainer[str]
    references: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[int] = ..., description: _Optional[_Union[SinkDescription, _Mapping]] = ..., broken: _Optional[_Union[PluginBroken, _Mapping]] = ..., outcome: _Optional[_Union[SinkOutcome, _Mapping]] = ..., beat: _Optional[_Union[PluginBeat, _Mapping]] = ..., secret: _Optional[_Union[PluginSecret, _Mapping]] = ..., secrets: _Optional[_Iterable[str]] = ..., references: _Optional[_Iterable[str]] = ...) -> None: ...

class PluginSetup(_message.Message):
    __slots__ = ("use", "name", "config_json", "data_dir", "environment", "memory", "kind_only", "plugins", "hooks_only")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    USE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    DATA_DIR_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    KIND_ONLY_FIELD_NUMBER: _ClassVar[int]
    PLUGINS_FIELD_NUMBER: _ClassVar[int]
    HOOKS_ONLY_FIELD_NUMBER: _ClassVar[int]
    use: str
    name: str
    config_json: str
    data_dir: str
    environment: _containers.ScalarMap[str, str]
    memory: int
    kind_only: bool
    plugins: _containers.RepeatedScalarFieldContainer[str]
    hooks_only: bool
    def __init__(self, use: _Optional[str] = ..., name: _Optional[str] = ..., config_json: _Optional[str] = ..., data_dir: _Optional[str] = ..., environment: _Optional[_Mapping[str, str]] = ..., memory: _Optional[int] = ..., kind_only: _Optional[bool] = ..., plugins: _Optional[_Iterable[str]] = ..., hooks_only: _Optional[bool] = ...) -> None: ...

class PluginOpen(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PluginCheck(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PluginClose(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PluginBeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PluginCancel(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class PluginResolve(_message.Message):
    __slots__ = ("reference",)
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    reference: str
    def __init__(self, reference: _Optional[str] = ...) -> None: ...

class PluginSecret(_message.Message):
    __slots__ = ("value", "missing")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    value: str
    missing: str
    def __init__(self, value: _Optional[str] = ..., missing: _Optional[str] = ...) -> None: ...

class PluginObserve(_message.Message):
    __slots__ = ("batch_settled", "sink_state_changed")
    BATCH_SETTLED_FIELD_NUMBER: _ClassVar[int]
    SINK_STATE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    batch_settled: BatchSettled
    sink_state_changed: SinkStateChanged
    def __init__(self, batch_settled: _Optional[_Union[BatchSettled, _Mapping]] = ..., sink_state_changed: _Optional[_Union[SinkStateChanged, _Mapping]] = ...) -> None: ...

class BatchSettled(_message.Message):
    __slots__ = ("sink", "batch_id", "delivered", "dead", "attempts")
    SINK_FIELD_NUMBER: _ClassVar[int]
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    DEAD_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    sink: str
    batch_id: str
    delivered: int
    dead: int
    attempts: int
    def __init__(self, sink: _Optional[str] = ..., batch_id: _Optional[str] = ..., delivered: _Optional[int] = ..., dead: _Optional[int] = ..., attempts: _Optional[int] = ...) -> None: ...

class SinkStateChanged(_message.Message):
    __slots__ = ("sink", "state", "previous", "error")
    SINK_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    sink: str
    state: str
    previous: str
    error: str
    def __init__(self, sink: _Optional[str] = ..., state: _Optional[str] = ..., previous: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...

class PluginWrite(_message.Message):
    __slots__ = ("id", "epoch", "shard", "number", "seal_time_ms", "events", "attempt")
    ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SEAL_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    id: str
    epoch: str
    shard: int
    number: int
    seal_time_ms: int
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    attempt: int
    def __init__(self, id: _Optional[str] = ..., epoch: _Optional[str] = ..., shard: _Optional[int] = ..., number: _Optional[int] = ..., seal_time_ms: _Optional[int] = ..., events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., attempt: _Optional[int] = ...) -> None: ...

class SinkDescription(_message.Message):
    __slots__ = ("kind_limits", "limits", "concurrency", "repeats", "when_full", "write_seconds", "hooks", "whole_answers")
    KIND_LIMITS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    REPEATS_FIELD_NUMBER: _ClassVar[int]
    WHEN_FULL_FIELD_NUMBER: _ClassVar[int]
    WRITE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HOOKS_FIELD_NUMBER: _ClassVar[int]
    WHOLE_ANSWERS_FIELD_NUMBER: _ClassVar[int]
    kind_limits: SinkLimits
    limits: SinkLimits
    concurrency: int
    repeats: str
    when_full: str
    write_seconds: float
    hooks: _containers.RepeatedScalarFieldContainer[str]
    whole_answers: bool
    def __init__(self, kind_limits: _Optional[_Union[SinkLimits, _Mapping]] = ..., limits: _Optional[_Union[SinkLimits, _Mapping]] = ..., concurrency: _Optional[int] = ..., repeats: _Optional[str] = ..., when_full: _Optional[str] = ..., write_seconds: _Optional[float] = ..., hooks: _Optional[_Iterable[str]] = ..., whole_answers: _Optional[bool] = ...) -> None: ...

class SinkLimits(_message.Message):
    __slots__ = ("events", "bytes", "age")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    events: int
    bytes: int
    age: float
    def __init__(self, events: _Optional[int] = ..., bytes: _Optional[int] = ..., age: _Optional[float] = ...) -> None: ...

class PluginBroken(_message.Message):
    __slots__ = ("reason", "details", "when_full")
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    WHEN_FULL_FIELD_NUMBER: _ClassVar[int]
    reason: str
    details: str
    when_full: str
    def __init__(self, reason: _Optional[str] = ..., details: _Optional[str] = ..., when_full: _Optional[str] = ...) -> None: ...

class SinkOutcome(_message.Message):
    __slots__ = ("result", "retry", "misconfigured", "too_large")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    MISCONFIGURED_FIELD_NUMBER: _ClassVar[int]
    TOO_LARGE_FIELD_NUMBER: _ClassVar[int]
    result: SinkResult
    retry: SinkRetry
    misconfigured: SinkMisconfigured
    too_large: SinkTooLarge
    def __init__(self, result: _Optional[_Union[SinkResult, _Mapping]] = ..., retry: _Optional[_Union[SinkRetry, _Mapping]] = ..., misconfigured: _Optional[_Union[SinkMisconfigured, _Mapping]] = ..., too_large: _Optional[_Union[SinkTooLarge, _Mapping]] = ...) -> None: ...

class SinkResult(_message.Message):
    __slots__ = ("rejected",)
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    rejected: _containers.RepeatedCompositeFieldContainer[SinkReject]
    def __init__(self, rejected: _Optional[_Iterable[_Union[SinkReject, _Mapping]]] = ...) -> None: ...

class SinkReject(_message.Message):
    __slots__ = ("events", "code", "message")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedScalarFieldContainer[int]
    code: str
    message: str
    def __init__(self, events: _Optional[_Iterable[int]] = ..., code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class SinkRetry(_message.Message):
    __slots__ = ("message", "after", "events")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    message: str
    after: float
    events: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, message: _Optional[str] = ..., after: _Optional[float] = ..., events: _Optional[_Iterable[int]] = ...) -> None: ...

class SinkMisconfigured(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: str
    def __init__(self, message: _Optional[str] = ...) -> None: ...

class SinkTooLarge(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: str
    def __init__(self, message: _Optional[str] = ...) -> None: ...
