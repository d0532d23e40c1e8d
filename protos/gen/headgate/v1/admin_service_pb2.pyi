import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headgate.v1 import event_pb2 as _event_pb2
from headgate.v1 import role_pb2 as _role_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KeyKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KEY_KIND_UNSPECIFIED: _ClassVar[KeyKind]
    KEY_KIND_PUBLIC: _ClassVar[KeyKind]
    KEY_KIND_TEST: _ClassVar[KeyKind]
    KEY_KIND_SECRET: _ClassVar[KeyKind]
    KEY_KIND_ORGANISATION: _ClassVar[KeyKind]
KEY_KIND_UNSPECIFIED: KeyKind
KEY_KIND_PUBLIC: KeyKind
KEY_KIND_TEST: KeyKind
KEY_KIND_SECRET: KeyKind
KEY_KIND_ORGANISATION: KeyKind

class CreateProjectRequest(_message.Message):
    __slots__ = ("name", "slug", "monthly_limit", "rate_limit", "organisation")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SLUG_FIELD_NUMBER: _ClassVar[int]
    MONTHLY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    slug: str
    monthly_limit: int
    rate_limit: RateLimit
    organisation: str
    def __init__(self, name: _Optional[str] = ..., slug: _Optional[str] = ..., monthly_limit: _Optional[int] = ..., rate_limit: _Optional[_Union[RateLimit, _Mapping]] = ..., organisation: _Optional[str] = ...) -> None: ...

class RateLimit(_message.Message):
    __slots__ = ("requests", "window")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    requests: int
    window: _duration_pb2.Duration
    def __init__(self, requests: _Optional[int] = ..., window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CreateProjectResponse(_message.Message):
    __slots__ = ("project", "keys")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    project: Project
    keys: _containers.RepeatedCompositeFieldContainer[NewKey]
    def __init__(self, project: _Optional[_Union[Project, _Mapping]] = ..., keys: _Optional[_Iterable[_Union[NewKey, _Mapping]]] = ...) -> None: ...

class Project(_message.Message):
    __slots__ = ("id", "slug", "name", "organisation", "time_zone", "create_time", "monthly_limit", "rate_limit", "role")
    ID_FIELD_NUMBER: _ClassVar[int]
    SLUG_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    MONTHLY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    id: str
    slug: str
    name: str
    organisation: str
    time_zone: str
    create_time: _timestamp_pb2.Timestamp
    monthly_limit: int
    rate_limit: RateLimit
    role: _role_pb2.Role
    def __init__(self, id: _Optional[str] = ..., slug: _Optional[str] = ..., name: _Optional[str] = ..., organisation: _Optional[str] = ..., time_zone: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., monthly_limit: _Optional[int] = ..., rate_limit: _Optional[_Union[RateLimit, _Mapping]] = ..., role: _Optional[_Union[_role_pb2.Role, str]] = ...) -> None: ...

class SetPlanRequest(_message.Message):
    __slots__ = ("project", "monthly_limit", "no_monthly_limit", "rate_limit", "default_rate_limit")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    MONTHLY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    NO_MONTHLY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_RATE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    project: str
    monthly_limit: int
    no_monthly_limit: bool
    rate_limit: RateLimit
    default_rate_limit: bool
    def __init__(self, project: _Optional[str] = ..., monthly_limit: _Optional[int] = ..., no_monthly_limit: _Optional[bool] = ..., rate_limit: _Optional[_Union[RateLimit, _Mapping]] = ..., default_rate_limit: _Optional[bool] = ...) -> None: ...

class SetPlanResponse(_message.Message):
    __slots__ = ("project",)
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    project: Project
    def __init__(self, project: _Optional[_Union[Project, _Mapping]] = ...) -> None: ...

class NewKey(_message.Message):
    __slots__ = ("id", "kind", "key", "scopes", "all_projects", "projects")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    ALL_PROJECTS_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: KeyKind
    key: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    all_projects: bool
    projects: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[_Union[KeyKind, str]] = ..., key: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., all_projects: _Optional[bool] = ..., projects: _Optional[_Iterable[str]] = ...) -> None: ...

class TailEventsRequest(_message.Message):
    __slots__ = ("projects", "last", "no_follow")
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    NO_FOLLOW_FIELD_NUMBER: _ClassVar[int]
    projects: _containers.RepeatedScalarFieldContainer[str]
    last: int
    no_follow: bool
    def __init__(self, projects: _Optional[_Iterable[str]] = ..., last: _Optional[int] = ..., no_follow: _Optional[bool] = ...) -> None: ...

class TailEventsResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: _event_pb2.Event
    def __init__(self, event: _Optional[_Union[_event_pb2.Event, _Mapping]] = ...) -> None: ...
