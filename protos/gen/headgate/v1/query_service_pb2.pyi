from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class QueryRequest(_message.Message):
    __slots__ = ("request_json", "csv")
    REQUEST_JSON_FIELD_NUMBER: _ClassVar[int]
    CSV_FIELD_NUMBER: _ClassVar[int]
    request_json: bytes
    csv: bool
    def __init__(self, request_json: _Optional[bytes] = ..., csv: _Optional[bool] = ...) -> None: ...

class GetEventSchemaRequest(_message.Message):
    __slots__ = ("project", "days", "event")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    project: str
    days: int
    event: str
    def __init__(self, project: _Optional[str] = ..., days: _Optional[int] = ..., event: _Optional[str] = ...) -> None: ...

class GetEventSchemaResponse(_message.Message):
    __slots__ = ("schema_json",)
    SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    schema_json: bytes
    def __init__(self, schema_json: _Optional[bytes] = ...) -> None: ...

class QueryResponse(_message.Message):
    __slots__ = ("answer_json", "csv")
    ANSWER_JSON_FIELD_NUMBER: _ClassVar[int]
    CSV_FIELD_NUMBER: _ClassVar[int]
    answer_json: bytes
    csv: str
    def __init__(self, answer_json: _Optional[bytes] = ..., csv: _Optional[str] = ...) -> None: ...
