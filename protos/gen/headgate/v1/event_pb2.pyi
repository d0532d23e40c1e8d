import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Dialect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIALECT_UNSPECIFIED: _ClassVar[Dialect]
    DIALECT_GRPC: _ClassVar[Dialect]
    DIALECT_CODCOMPASS: _ClassVar[Dialect]
    DIALECT_XAIKU: _ClassVar[Dialect]
    DIALECT_REALANALYTICS: _ClassVar[Dialect]
    DIALECT_PROMPTING_COMPANY: _ClassVar[Dialect]
    DIALECT_PLUGIN: _ClassVar[Dialect]
DIALECT_UNSPECIFIED: Dialect
DIALECT_GRPC: Dialect
DIALECT_CODCOMPASS: Dialect
DIALECT_XAIKU: Dialect
DIALECT_REALANALYTICS: Dialect
DIALECT_PROMPTING_COMPANY: Dialect
DIALECT_PLUGIN: Dialect

class Event(_message.Message):
    __slots__ = ("event_id", "name", "occur_time", "receive_time", "client_time", "project_id", "user_id", "distinct_id", "anonymous_id", "session_id", "page", "request", "sdk", "experiment", "campaign", "test", "dialect", "dialect_name", "sample_weight", "properties_json", "properties")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OCCUR_TIME_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    CLIENT_TIME_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_ID_FIELD_NUMBER: _ClassVar[int]
    ANONYMOUS_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    SDK_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    DIALECT_FIELD_NUMBER: _ClassVar[int]
    DIALECT_NAME_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_JSON_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    name: str
    occur_time: _timestamp_pb2.Timestamp
    receive_time: _timestamp_pb2.Timestamp
    client_time: _timestamp_pb2.Timestamp
    project_id: str
    user_id: str
    distinct_id: str
    anonymous_id: str
    session_id: str
    page: Page
    request: Request
    sdk: Sdk
    experiment: Experiment
    campaign: Campaign
    test: bool
    dialect: Dialect
    dialect_name: str
    sample_weight: float
    properties_json: bytes
    properties: _struct_pb2.Struct
    def __init__(self, event_id: _Optional[str] = ..., name: _Optional[str] = ..., occur_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., receive_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., client_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., project_id: _Optional[str] = ..., user_id: _Optional[str] = ..., distinct_id: _Optional[str] = ..., anonymous_id: _Optional[str] = ..., session_id: _Optional[str] = ..., page: _Optional[_Union[Page, _Mapping]] = ..., request: _Optional[_Union[Request, _Mapping]] = ..., sdk: _Optional[_Union[Sdk, _Mapping]] = ..., experiment: _Optional[_Union[Experiment, _Mapping]] = ..., campaign: _Optional[_Union[Campaign, _Mapping]] = ..., test: _Optional[bool] = ..., dialect: _Optional[_Union[Dialect, str]] = ..., dialect_name: _Optional[str] = ..., sample_weight: _Optional[float] = ..., properties_json: _Optional[bytes] = ..., properties: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class Page(_message.Message):
    __slots__ = ("href", "domain", "path", "title", "canonical_url", "referrer", "sent_href")
    HREF_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    CANONICAL_URL_FIELD_NUMBER: _ClassVar[int]
    REFERRER_FIELD_NUMBER: _ClassVar[int]
    SENT_HREF_FIELD_NUMBER: _ClassVar[int]
    href: str
    domain: str
    path: str
    title: str
    canonical_url: str
    referrer: str
    sent_href: str
    def __init__(self, href: _Optional[str] = ..., domain: _Optional[str] = ..., path: _Optional[str] = ..., title: _Optional[str] = ..., canonical_url: _Optional[str] = ..., referrer: _Optional[str] = ..., sent_href: _Optional[str] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("user_agent", "client_ip", "method")
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_IP_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    user_agent: str
    client_ip: str
    method: str
    def __init__(self, user_agent: _Optional[str] = ..., client_ip: _Optional[str] = ..., method: _Optional[str] = ...) -> None: ...

class Sdk(_message.Message):
    __slots__ = ("name", "version", "runtime")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    runtime: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., runtime: _Optional[str] = ...) -> None: ...

class Experiment(_message.Message):
    __slots__ = ("experiment_id", "variant_id", "conversion")
    EXPERIMENT_ID_FIELD_NUMBER: _ClassVar[int]
    VARIANT_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSION_FIELD_NUMBER: _ClassVar[int]
    experiment_id: str
    variant_id: str
    conversion: bool
    def __init__(self, experiment_id: _Optional[str] = ..., variant_id: _Optional[str] = ..., conversion: _Optional[bool] = ...) -> None: ...

class Campaign(_message.Message):
    __slots__ = ("source", "medium", "campaign", "term", "content")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MEDIUM_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    source: str
    medium: str
    campaign: str
    term: str
    content: str
    def __init__(self, source: _Optional[str] = ..., medium: _Optional[str] = ..., campaign: _Optional[str] = ..., term: _Optional[str] = ..., content: _Optional[str] = ...) -> None: ...
