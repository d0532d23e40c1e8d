import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConfigSchema(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONFIG_SCHEMA_UNSPECIFIED: _ClassVar[ConfigSchema]
    CONFIG_SCHEMA_HEADGATE_YAML: _ClassVar[ConfigSchema]
    CONFIG_SCHEMA_COMPILED: _ClassVar[ConfigSchema]
CONFIG_SCHEMA_UNSPECIFIED: ConfigSchema
CONFIG_SCHEMA_HEADGATE_YAML: ConfigSchema
CONFIG_SCHEMA_COMPILED: ConfigSchema

class DeployRequest(_message.Message):
    __slots__ = ("config_json", "validate_only", "project")
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    config_json: bytes
    validate_only: bool
    project: str
    def __init__(self, config_json: _Optional[bytes] = ..., validate_only: _Optional[bool] = ..., project: _Optional[str] = ...) -> None: ...

class DeployResponse(_message.Message):
    __slots__ = ("version", "changed", "project_id")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    version: int
    changed: _containers.RepeatedScalarFieldContainer[str]
    project_id: str
    def __init__(self, version: _Optional[int] = ..., changed: _Optional[_Iterable[str]] = ..., project_id: _Optional[str] = ...) -> None: ...

class ListDeploysRequest(_message.Message):
    __slots__ = ("project", "before", "limit")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    project: str
    before: int
    limit: int
    def __init__(self, project: _Optional[str] = ..., before: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListDeploysResponse(_message.Message):
    __slots__ = ("deploys",)
    DEPLOYS_FIELD_NUMBER: _ClassVar[int]
    deploys: _containers.RepeatedCompositeFieldContainer[DeployVersion]
    def __init__(self, deploys: _Optional[_Iterable[_Union[DeployVersion, _Mapping]]] = ...) -> None: ...

class GetDeployRequest(_message.Message):
    __slots__ = ("project", "version")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    project: str
    version: int
    def __init__(self, project: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class GetDeployResponse(_message.Message):
    __slots__ = ("deploy", "config_json")
    DEPLOY_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    deploy: DeployVersion
    config_json: bytes
    def __init__(self, deploy: _Optional[_Union[DeployVersion, _Mapping]] = ..., config_json: _Optional[bytes] = ...) -> None: ...

class ActivateDeployRequest(_message.Message):
    __slots__ = ("project", "version")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    project: str
    version: int
    def __init__(self, project: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class ActivateDeployResponse(_message.Message):
    __slots__ = ("version", "changed")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    version: int
    changed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[int] = ..., changed: _Optional[_Iterable[str]] = ...) -> None: ...

class DeployVersion(_message.Message):
    __slots__ = ("version", "create_time", "created_by", "active", "changed")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    version: int
    create_time: _timestamp_pb2.Timestamp
    created_by: str
    active: bool
    changed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_by: _Optional[str] = ..., active: _Optional[bool] = ..., changed: _Optional[_Iterable[str]] = ...) -> None: ...

class GetConfigSchemaRequest(_message.Message):
    __slots__ = ("schema",)
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    schema: ConfigSchema
    def __init__(self, schema: _Optional[_Union[ConfigSchema, str]] = ...) -> None: ...

class GetConfigSchemaResponse(_message.Message):
    __slots__ = ("schema_json",)
    SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    schema_json: bytes
    def __init__(self, schema_json: _Optional[bytes] = ...) -> None: ...

class PreviewDeployRequest(_message.Message):
    __slots__ = ("config_json", "project", "last")
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    config_json: bytes
    project: str
    last: int
    def __init__(self, config_json: _Optional[bytes] = ..., project: _Optional[str] = ..., last: _Optional[int] = ...) -> None: ...

class PreviewDeployResponse(_message.Message):
    __slots__ = ("version", "changed", "events", "complete", "from_time", "outcomes", "paths", "sinks")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    SINKS_FIELD_NUMBER: _ClassVar[int]
    version: int
    changed: _containers.RepeatedScalarFieldContainer[str]
    events: int
    complete: bool
    from_time: _timestamp_pb2.Timestamp
    outcomes: _containers.RepeatedCompositeFieldContainer[OutcomeDifference]
    paths: _containers.RepeatedCompositeFieldContainer[PathDifference]
    sinks: _containers.RepeatedCompositeFieldContainer[SinkDifference]
    def __init__(self, version: _Optional[int] = ..., changed: _Optional[_Iterable[str]] = ..., events: _Optional[int] = ..., complete: _Optional[bool] = ..., from_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., outcomes: _Optional[_Iterable[_Union[OutcomeDifference, _Mapping]]] = ..., paths: _Optional[_Iterable[_Union[PathDifference, _Mapping]]] = ..., sinks: _Optional[_Iterable[_Union[SinkDifference, _Mapping]]] = ...) -> None: ...

class OutcomeDifference(_message.Message):
    __slots__ = ("event", "before", "after", "events")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    event: str
    before: str
    after: str
    events: int
    def __init__(self, event: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ..., events: _Optional[int] = ...) -> None: ...

class PathDifference(_message.Message):
    __slots__ = ("path", "events")
    PATH_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    path: str
    events: int
    def __init__(self, path: _Optional[str] = ..., events: _Optional[int] = ...) -> None: ...

class SinkDifference(_message.Message):
    __slots__ = ("sink", "before", "after", "gained", "lost")
    SINK_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    GAINED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    sink: str
    before: int
    after: int
    gained: int
    lost: int
    def __init__(self, sink: _Optional[str] = ..., before: _Optional[int] = ..., after: _Optional[int] = ..., gained: _Optional[int] = ..., lost: _Optional[int] = ...) -> None: ...
