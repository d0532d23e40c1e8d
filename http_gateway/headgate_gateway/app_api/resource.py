"""A path of the app API: reads a request, has the service do what it asks, and renders the answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc.aio
import orjson
from falcon.asgi import Request, Response
from headgate_dialects.formats.strict_json import Malformed, loads_unambiguous
from headgate_dialects.sdk.rejection import Rejection

from headgate_gateway.app_api.caller import Failure, Metadata, caller_of, check_origin, failure_of
from headgate_gateway.app_api.fields import MAX_PART_CHARACTERS, FieldInvalid, read_query
from headgate_gateway.app_api.openapi import described
from headgate_gateway.app_api.operation import Asked, Operation
from headgate_gateway.app_api.streaming import NDJSON, SSE, Streams
from headgate_gateway.http.body import BodyFault, BodyReader, ClientGone, answer_then_discard, bears_body, read_body
from headgate_gateway.http.body_budget import Overloaded
from headgate_gateway.http.client_address import Network, client_address
from headgate_gateway.http.headers import request_headers
from headgate_gateway.http.origin import over_tls, set_cookie
from headgate_gateway.http.problem import problem
from headgate_gateway.http_server.deferred_body import receive_of
from headgate_gateway.ingest.client import CONTRACT_METADATA

WIRE_LIMIT = 1024 * 1024
_BODY_FAULTS: dict[Rejection, tuple[int, str]] = {
    Rejection.TOO_LARGE: (413, "payload_too_large"),
    Rejection.MEDIA_TYPE: (415, "unsupported_media_type"),
    Rejection.SLOW: (408, "timeout"),
}
_NOT_JSON = (400, "bad_request")


@dataclass(frozen=True, slots=True)
class Plumbing:
    """What every path is made with. `gateway_token` is by what the service knows that it may believe who is said to
    ask."""

    channel: grpc.aio.Channel
    reader: BodyReader
    streams: Streams
    trusted_proxies: Sequence[Network]
    gateway_token: str
    new_request_id: Callable[[], str]

    def origin_of(self, req: Request, headers: Mapping[str, str], request_id: str) -> Metadata:
        """What the service is told of a request beside its credential."""
        address = client_address(_peer(req), headers, self.trusted_proxies)
        return (
            ("headgate-gateway-token", self.gateway_token),
            CONTRACT_METADATA,
            ("headgate-client-address", address if address.isascii() and address.isprintable() else ""),
            ("headgate-request-id", request_id),
        )

    def is_over_tls(self, req: Request, headers: Mapping[str, str]) -> bool:
        """Whether the client speaks TLS."""
        return over_tls(req.scope.get("scheme", "http"), _peer(req), headers, self.trusted_proxies)


class OperationsResource:
    """The operations of one path, by method."""

    def __init__(self, operations: Sequence[Operation], plumbing: Plumbing) -> None:
        self._operations = {operation.method: operation for operation in operations}
        self._calls = {operation.method: operation.rpc(plumbing.channel) for operation in operations}
        self._plumbing = plumbing
        self.methods = tuple(self._operations)

    async def on_get(self, req: Request, resp: Response, **path: str) -> None:
        await self._answer(req, resp, path)

    on_post = on_put = on_patch = on_delete = on_get

    def operations(self) -> dict[str, Any]:
        return {method.lower(): described(operation) for method, operation in self._operations.items()}

    async def _answer(self, req: Request, resp: Response, path: Mapping[str, str]) -> None:
        operation, request_id = self._operations[req.method], self._plumbing.new_request_id()
        resp.set_header("Cache-Control", "no-store")
        try:
            await self._do(operation, req, resp, path, request_id)
        except grpc.aio.AioRpcError as error:
            self._fail(req, resp, failure_of(error), request_id)
        except FieldInvalid as error:
            details = [{"field": error.field, "message": error.message}]
            self._fail(req, resp, Failure(400, "invalid_argument", str(error), details), request_id)
        except BodyFault as fault:
            status, code = _BODY_FAULTS.get(fault.cause, _NOT_JSON)
            failure = Failure(status, code, fault.message, headers=fault.headers)
            self._fail(req, resp, failure, request_id, unread=fault.unread)
        except Failure as failure:
            self._fail(req, resp, failure, request_id, unread=bears_body(request_headers(req.scope)))

    async def _do(
        self, operation: Operation, req: Request, resp: Response, path: Mapping[str, str], request_id: str
    ) -> None:
        headers = request_headers(req.scope)
        caller = caller_of(headers, by_key=operation.by_key)
        check_origin(caller, headers, changes=operation.changes_something, takes_credential=not operation.open)
        if any(len(part) > MAX_PART_CHARACTERS or not part.isprintable() for part in path.values()):
            raise Failure(404, "not_found", "There is nothing at this path.")
        query = read_query(operation.query, _single(req))
        body = await self._body(operation, headers, req)
        request = operation.request(Asked(path, query, body))
        call = self._calls[operation.method]
        metadata = caller.metadata() + self._plumbing.origin_of(req, headers, request_id) + _key(operation, headers)
        if operation.streams:
            messages = call(request, metadata=metadata, timeout=operation.seconds)
            resp.content_type = SSE if SSE in headers.get("accept", "") else NDJSON
            receive = receive_of(req.scope)
            resp.stream = await self._plumbing.streams.begin(messages, operation.answer, receive, resp.content_type)
            return
        answer = await call(request, metadata=metadata, timeout=operation.seconds)
        resp.status = operation.status
        if operation.session is not None:
            text, seconds = operation.session(answer)
            secure = self._plumbing.is_over_tls(req, headers)
            resp.append_header("Set-Cookie", set_cookie(text, seconds, secure=secure))
        resp.data = orjson.dumps(operation.answer(answer))

    async def _body(self, operation: Operation, headers: Mapping[str, str], req: Request) -> Mapping[str, Any]:
        value: Any = {}
        if bears_body(headers):
            try:
                value = await self._json(headers, req)
            except Malformed as error:
                raise BodyFault(Rejection.NOT_JSON, str(error), unread=False) from None
        return operation.read_body(value)

    async def _json(self, headers: Mapping[str, str], req: Request) -> Any:
        try:
            return await read_body(headers, receive_of(req.scope), WIRE_LIMIT, self._plumbing.reader, loads_unambiguous)
        except Overloaded:
            fault = Failure(503, "unavailable", "Too much is under way: retry.", headers={"Retry-After": "1"})
            raise fault from None
        except ClientGone:
            raise BodyFault(Rejection.SLOW, "the body did not arrive", unread=False) from None

    def _fail(self, req: Request, resp: Response, failure: Failure, request_id: str, *, unread: bool = False) -> None:
        resp.status = failure.status
        resp.set_headers(dict(failure.headers))
        data = self._worded(failure, request_id)
        if not unread:
            resp.data = data
            return
        resp.set_header("Connection", "close")
        resp.content_length = len(data)
        resp.stream = answer_then_discard(data, receive_of(req.scope), self._plumbing.reader.limits)

    def _worded(self, failure: Failure, request_id: str) -> bytes:
        return problem(failure.code, failure.message, request_id, failure.details or None)


def _peer(req: Request) -> str:
    client = req.scope.get("client")
    return client[0] if client else ""


def _single(req: Request) -> dict[str, str]:
    """The query's parameters, of which none may come twice."""
    found: dict[str, str] = {}
    for name, value in req.params.items():
        if isinstance(value, list):
            raise FieldInvalid(name, "must come once")
        found[name] = value
    return found


def _key(operation: Operation, headers: Mapping[str, str]) -> Metadata:
    key = headers.get("x-api-key", "").strip()
    return (("headgate-key", key),) if operation.key and key and key.isascii() and key.isprintable() else ()
