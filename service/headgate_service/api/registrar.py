"""What the generated code registers services at: it puts the service's own care of messages around each method.

grpcio ends a call whose message cannot be parsed as UNKNOWN, with a traceback in the log. Here messages stay bytes
until the call is there, and are parsed with the call at hand.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from headgate_service.api.calls import Calls
from headgate_service.api.rpc_status import abort
from headgate_service.errors import MessageInvalid, MessageTooLarge

MAX_BYTES = 4 * 1024 * 1024

_Context = Any


class Registrar:
    """Stands where `add_...Servicer_to_server` takes a server. A method that takes bytes gets them as they come, and
    ends its streams itself when the service stops; those of others end between two messages of theirs."""

    def __init__(self, server: grpc.aio.Server, calls: Calls) -> None:
        self._server = server
        self._calls = calls
        self._metrics = calls.metrics

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Adds nothing: the same methods come by their names, too."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Adds the methods of a service."""
        watched = {name: self._watched(f"{service}/{name}", handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, watched),))
        self._server.add_registered_method_handlers(service, watched)

    def _watched(self, method: str, handler: Any) -> Any:
        make, behaviour = _kind(handler)
        parse = handler.request_deserializer
        if parse is not None:
            read = self._each(parse) if handler.request_streaming else self._one(parse)
            behaviour = _reading(behaviour, read)
        return make(_counted(behaviour, self._calls, method), None, handler.response_serializer)

    def _one(self, parse: Callable[[bytes], Any]) -> Callable[[bytes, _Context], Any]:
        async def one(message: bytes, context: _Context) -> Any:
            return await self._parsed(parse, message, context)

        return one

    def _each(self, parse: Callable[[bytes], Any]) -> Callable[[AsyncIterator[bytes], _Context], Any]:
        async def each(messages: AsyncIterator[bytes], context: _Context) -> AsyncIterator[Any]:
            async for message in self._calls.until_stopped(messages, context):
                yield await self._parsed(parse, message, context)

        async def iterator(messages: AsyncIterator[bytes], context: _Context) -> AsyncIterator[Any]:
            return each(messages, context)

        return iterator

    async def _parsed(self, parse: Callable[[bytes], Any], message: bytes, context: _Context) -> Any:
        if len(message) > MAX_BYTES:
            await abort(context, MessageTooLarge(f"{len(message)} bytes are over the {MAX_BYTES} of a message"))
        try:
            return parse(message)
        except DecodeError:
            await self._refuse_corrupt(context)

    async def _refuse_corrupt(self, context: _Context) -> NoReturn:
        self._metrics.corrupt.inc()
        await abort(context, MessageInvalid("the message is not the protobuf message that the call takes"))


def _kind(handler: Any) -> tuple[Any, Any]:
    """What makes a handler of its kind, and what the handler does."""
    if handler.request_streaming and handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler, handler.stream_stream
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler, handler.stream_unary
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler, handler.unary_stream
    return grpc.unary_unary_rpc_method_handler, handler.unary_unary


def _counted(behaviour: Any, calls: Calls, method: str) -> Any:
    if inspect.isasyncgenfunction(behaviour):

        async def streamed(given: Any, context: _Context) -> AsyncIterator[Any]:
            with calls.stream(method, context):
                async for response in behaviour(given, context):
                    yield response

        return streamed

    async def called(given: Any, context: _Context) -> Any:
        with calls.one(method, context):
            return await behaviour(given, context)

    return called


def _reading(behaviour: Any, read: Any) -> Any:
    """The behaviour, given what `read` makes of the bytes that come. grpcio looks at a function's own kind."""
    if inspect.isasyncgenfunction(behaviour):

        async def streamed(given: Any, context: _Context) -> AsyncIterator[Any]:
            async for response in behaviour(await read(given, context), context):
                yield response

        return streamed

    async def called(given: Any, context: _Context) -> Any:
        return await behaviour(await read(given, context), context)

    return called
