import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headgate.v1 import admin_service_pb2 as _admin_service_pb2
from headgate.v1 import event_pb2 as _event_pb2
from headgate.v1 import log_pb2 as _log_pb2
from headgate.v1 import outcome_pb2 as _outcome_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IngestEventsRequest(_message.Message):
    __slots__ = ("events", "idempotency_key", "all_or_nothing", "dry_run")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    ALL_OR_NOTHING_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    idempotency_key: str
    all_or_nothing: bool
    dry_run: bool
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., idempotency_key: _Optional[str] = ..., all_or_nothing: _Optional[bool] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class IngestEventsResponse(_message.Message):
    __slots__ = ("results", "receipt", "receive_time", "limits", "replayed", "warned")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    WARNED_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[_outcome_pb2.EventResult]
    receipt: str
    receive_time: _timestamp_pb2.Timestamp
    limits: _outcome_pb2.LimitState
    replayed: bool
    warned: int
    def __init__(self, results: _Optional[_Iterable[_Union[_outcome_pb2.EventResult, _Mapping]]] = ..., receipt: _Optional[str] = ..., receive_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limits: _Optional[_Union[_outcome_pb2.LimitState, _Mapping]] = ..., replayed: _Optional[bool] = ..., warned: _Optional[int] = ...) -> None: ...

class StreamEventsRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: IngestEventsRequest
    def __init__(self, request: _Optional[_Union[IngestEventsRequest, _Mapping]] = ...) -> None: ...

class StreamEventsResponse(_message.Message):
    __slots__ = ("response", "refusal")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    response: IngestEventsResponse
    refusal: _outcome_pb2.Refusal
    def __init__(self, response: _Optional[_Union[IngestEventsResponse, _Mapping]] = ..., refusal: _Optional[_Union[_outcome_pb2.Refusal, _Mapping]] = ...) -> None: ...

class IngestGatheredRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[GatheredRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[GatheredRequest, _Mapping]]] = ...) -> None: ...

class IngestGatheredResponse(_message.Message):
    __slots__ = ("answers", "contract")
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[GatheredAnswer]
    contract: int
    def __init__(self, answers: _Optional[_Iterable[_Union[GatheredAnswer, _Mapping]]] = ..., contract: _Optional[int] = ...) -> None: ...

class GatheredRequest(_message.Message):
    __slots__ = ("dialect", "access", "credential", "project", "origin", "entry", "idempotency_key", "body_hash", "dry_run", "refused", "refused_reason", "client_address", "all_or_nothing", "experiments", "each", "refused_faults", "refused_sample")
    DIALECT_FIELD_NUMBER: _ClassVar[int]
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    BODY_HASH_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_REASON_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ALL_OR_NOTHING_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENTS_FIELD_NUMBER: _ClassVar[int]
    EACH_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FAULTS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    dialect: _event_pb2.Dialect
    access: ApiAccess
    credential: str
    project: str
    origin: str
    entry: _log_pb2.LogEntry
    idempotency_key: str
    body_hash: bytes
    dry_run: bool
    refused: int
    refused_reason: _outcome_pb2.Reason
    client_address: str
    all_or_nothing: bool
    experiments: ExperimentsWanted
    each: bool
    refused_faults: _containers.RepeatedCompositeFieldContainer[_outcome_pb2.EventFault]
    refused_sample: bytes
    def __init__(self, dialect: _Optional[_Union[_event_pb2.Dialect, str]] = ..., access: _Optional[_Union[ApiAccess, _Mapping]] = ..., credential: _Optional[str] = ..., project: _Optional[str] = ..., origin: _Optional[str] = ..., entry: _Optional[_Union[_log_pb2.LogEntry, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., body_hash: _Optional[bytes] = ..., dry_run: _Optional[bool] = ..., refused: _Optional[int] = ..., refused_reason: _Optional[_Union[_outcome_pb2.Reason, str]] = ..., client_address: _Optional[str] = ..., all_or_nothing: _Optional[bool] = ..., experiments: _Optional[_Union[ExperimentsWanted, _Mapping]] = ..., each: _Optional[bool] = ..., refused_faults: _Optional[_Iterable[_Union[_outcome_pb2.EventFault, _Mapping]]] = ..., refused_sample: _Optional[bytes] = ...) -> None: ...

class ApiAccess(_message.Message):
    __slots__ = ("name", "key_kinds", "people", "event_ids")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_KINDS_FIELD_NUMBER: _ClassVar[int]
    PEOPLE_FIELD_NUMBER: _ClassVar[int]
    EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    key_kinds: _containers.RepeatedScalarFieldContainer[_admin_service_pb2.KeyKind]
    people: bool
    event_ids: bool
    def __init__(self, name: _Optional[str] = ..., key_kinds: _Optional[_Iterable[_Union[_admin_service_pb2.KeyKind, str]]] = ..., people: _Optional[bool] = ..., event_ids: _Optional[bool] = ...) -> None: ...

class ExperimentsWanted(_message.Message):
    __slots__ = ("ids", "test")
    IDS_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    test: bool
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., test: _Optional[bool] = ...) -> None: ...

class GatheredAnswer(_message.Message):
    __slots__ = ("response", "refusal", "dry_run_events", "dry_run_sinks", "limits", "experiments_json", "events")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_EVENTS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_SINKS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    response: IngestEventsResponse
    refusal: _outcome_pb2.Refusal
    dry_run_events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    dry_run_sinks: _containers.RepeatedScalarFieldContainer[str]
    limits: _outcome_pb2.LimitState
    experiments_json: bytes
    events: int
    def __init__(self, response: _Optional[_Union[IngestEventsResponse, _Mapping]] = ..., refusal: _Optional[_Union[_outcome_pb2.Refusal, _Mapping]] = ..., dry_run_events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., dry_run_sinks: _Optional[_Iterable[str]] = ..., limits: _Optional[_Union[_outcome_pb2.LimitState, _Mapping]] = ..., experiments_json: _Optional[bytes] = ..., events: _Optional[int] = ...) -> None: ...
