"""Reads messages whose text is not all UTF-8, which protobuf itself refuses: serializers for browsers write such."""

from typing import Any, Generic, TypeVar

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_Message = TypeVar("_Message", bound=Message)


class LenientText(Generic[_Message]):
    """Reads messages of a kind by a twin of it, in which every text is bytes. Both look the same on the wire."""

    def __init__(self, kind: type[_Message]) -> None:
        self._kind = kind
        pool = DescriptorPool()
        _add_twin(pool, kind.DESCRIPTOR.file, set())
        self._twin: Any = GetMessageClass(pool.FindMessageTypeByName(kind.DESCRIPTOR.full_name))

    def read(self, message: bytes) -> _Message:
        """The message, where text that is not UTF-8 has U+FFFD in its place. Raises DecodeError."""
        twin = self._twin.FromString(message)
        _mend(twin, self._kind.DESCRIPTOR)
        return self._kind.FromString(twin.SerializeToString())


def _mend(twin: Message, kind: Any) -> None:
    for field, value in twin.ListFields():
        original = kind.fields_by_number[field.number]
        if original.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                _mend(inner, original.message_type)
        elif original.type == original.TYPE_STRING:
            if field.is_repeated:
                value[:] = map(_utf8, value)
            else:
                setattr(twin, field.name, _utf8(value))


def _utf8(text: bytes) -> bytes:
    return text.decode(errors="replace").encode()


def _add_twin(pool: DescriptorPool, file: Any, added: set[str]) -> None:
    if file.name in added:
        return
    added.add(file.name)
    for dependency in file.dependencies:
        _add_twin(pool, dependency, added)
    twin = FileDescriptorProto()
    file.CopyToProto(twin)
    twin.ClearField("service")
    for message in twin.message_type:
        _take_bytes_for_text(message)
    pool.Add(twin)


def _take_bytes_for_text(message: DescriptorProto) -> None:
    # An entry of a map is a message of two fields; bytes may be no key of a map.
    message.options.ClearField("map_entry")
    for field in message.field:
        if field.type == FieldDescriptorProto.TYPE_STRING:
            field.type = FieldDescriptorProto.TYPE_BYTES
    for inner in message.nested_type:
        _take_bytes_for_text(inner)
