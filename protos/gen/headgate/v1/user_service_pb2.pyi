from headgate.v1 import account_service_pb2 as _account_service_pb2
from headgate.v1 import role_pb2 as _role_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateUserRequest(_message.Message):
    __slots__ = ("email", "password", "memberships", "organisation")
    class Membership(_message.Message):
        __slots__ = ("project", "role")
        PROJECT_FIELD_NUMBER: _ClassVar[int]
        ROLE_FIELD_NUMBER: _ClassVar[int]
        project: str
        role: _role_pb2.Role
        def __init__(self, project: _Optional[str] = ..., role: _Optional[_Union[_role_pb2.Role, str]] = ...) -> None: ...
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIPS_FIELD_NUMBER: _ClassVar[int]
    ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    email: str
    password: str
    memberships: _containers.RepeatedCompositeFieldContainer[CreateUserRequest.Membership]
    organisation: str
    def __init__(self, email: _Optional[str] = ..., password: _Optional[str] = ..., memberships: _Optional[_Iterable[_Union[CreateUserRequest.Membership, _Mapping]]] = ..., organisation: _Optional[str] = ...) -> None: ...

class CreateUserResponse(_message.Message):
    __slots__ = ("user",)
    USER_FIELD_NUMBER: _ClassVar[int]
    user: _account_service_pb2.User
    def __init__(self, user: _Optional[_Union[_account_service_pb2.User, _Mapping]] = ...) -> None: ...

class DisableUserRequest(_message.Message):
    __slots__ = ("user",)
    USER_FIELD_NUMBER: _ClassVar[int]
    user: str
    def __init__(self, user: _Optional[str] = ...) -> None: ...

class DisableUserResponse(_message.Message):
    __slots__ = ("user",)
    USER_FIELD_NUMBER: _ClassVar[int]
    user: _account_service_pb2.User
    def __init__(self, user: _Optional[_Union[_account_service_pb2.User, _Mapping]] = ...) -> None: ...

class SetPasswordRequest(_message.Message):
    __slots__ = ("user", "password")
    USER_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    user: str
    password: str
    def __init__(self, user: _Optional[str] = ..., password: _Optional[str] = ...) -> None: ...

class SetPasswordResponse(_message.Message):
    __slots__ = ("user", "first_start_file_removed")
    USER_FIELD_NUMBER: _ClassVar[int]
    FIRST_START_FILE_REMOVED_FIELD_NUMBER: _ClassVar[int]
    user: _account_service_pb2.User
    first_start_file_removed: bool
    def __init__(self, user: _Optional[_Union[_account_service_pb2.User, _Mapping]] = ..., first_start_file_removed: _Optional[bool] = ...) -> None: ...

class UnlockUserRequest(_message.Message):
    __slots__ = ("user",)
    USER_FIELD_NUMBER: _ClassVar[int]
    user: str
    def __init__(self, user: _Optional[str] = ...) -> None: ...

class UnlockUserResponse(_message.Message):
    __slots__ = ("user",)
    USER_FIELD_NUMBER: _ClassVar[int]
    user: _account_service_pb2.User
    def __init__(self, user: _Optional[_Union[_account_service_pb2.User, _Mapping]] = ...) -> None: ...
