"""GET /v1/receipts/<id>: where the events of one request are."""

from collections.abc import Callable, Mapping
from typing import Any

import grpc
import grpc.aio
import orjson
from falcon.asgi import Request, Response
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import receipt_service_pb2

from headgate_gateway.http.headers import request_headers
from headgate_gateway.http.origin import cors_headers, preflight_headers
from headgate_gateway.http.problem import problem

METHOD = "/headgate.v1.ReceiptService/GetReceipt"

_UNAVAILABLE = (503, "unavailable", "The service does not answer: retry.")
_REFUSALS = {
    grpc.StatusCode.NOT_FOUND: (404, "not_found", "No such receipt was made here, or its project is gone."),
    grpc.StatusCode.INVALID_ARGUMENT: (404, "not_found", "No such receipt was made here."),
    grpc.StatusCode.UNAUTHENTICATED: (401, "unauthorized", "The key is not valid."),
    grpc.StatusCode.PERMISSION_DENIED: (403, "forbidden", "The key is not one of the receipt's project."),
}
_MAX_RECEIPT_CHARACTERS = 200


class ReceiptResource:
    """Looks receipts up at the service; a key sent along shows the sinks by name."""

    methods = ("GET", "HEAD", "OPTIONS")

    def __init__(self, channel: grpc.aio.Channel, deadline_seconds: float, new_request_id: Callable[[], str]) -> None:
        self._lookup: Any = channel.unary_unary(
            METHOD,
            request_serializer=receipt_service_pb2.GetReceiptRequest.SerializeToString,
            response_deserializer=receipt_service_pb2.GetReceiptResponse.FromString,
        )
        self._deadline_seconds = deadline_seconds
        self._new_request_id = new_request_id

    async def on_get(self, req: Request, resp: Response, receipt: str) -> None:
        headers = request_headers(req.scope)
        resp.set_headers(cors_headers(headers))
        if len(receipt) > _MAX_RECEIPT_CHARACTERS or not receipt.isascii():
            self._refuse(resp, _REFUSALS[grpc.StatusCode.NOT_FOUND])
            return
        try:
            found = await self._lookup(
                receipt_service_pb2.GetReceiptRequest(receipt=receipt),
                metadata=_credential(headers),
                timeout=self._deadline_seconds,
            )
        except grpc.aio.AioRpcError as error:
            self._refuse(resp, _REFUSALS.get(error.code(), _UNAVAILABLE))
        else:
            resp.data = orjson.dumps(_as_json(found))

    on_head = on_get

    async def on_options(self, req: Request, resp: Response, receipt: str) -> None:
        resp.status = 204
        resp.set_headers({"Allow": ", ".join(self.methods), **preflight_headers(request_headers(req.scope))})

    def _refuse(self, resp: Response, refusal: tuple[int, str, str]) -> None:
        status, code, message = refusal
        resp.status = status
        if status == _UNAVAILABLE[0]:
            resp.set_header("Retry-After", "1")
        resp.data = problem(code, message, self._new_request_id())

    def operations(self) -> dict[str, Any]:
        return {"get": _OPERATION}


def _credential(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    key = headers.get("x-api-key", "").strip()
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if not key and scheme.lower() == "bearer":
        key = bearer.strip()
    # Metadata bears printable ASCII only; no key has anything else.
    return (("authorization", f"Bearer {key}"),) if key and key.isascii() and key.isprintable() else ()


def _as_json(found: receipt_service_pb2.GetReceiptResponse) -> dict[str, Any]:
    lost = {"logLostAt": _rfc3339(found.log_lost_time)} if found.HasField("log_lost_time") else {}
    return {
        "receipt": found.receipt,
        "received": found.received,
        "accepted": found.accepted,
        "duplicate": found.duplicate,
        "dropped": found.dropped,
        "refused": found.refused,
        "durable": found.durable,
        "receivedAt": _rfc3339(found.receive_time) if found.HasField("receive_time") else None,
        "sinks": [_sink(progress) for progress in found.sinks],
        **lost,
    }


def _sink(progress: receipt_service_pb2.SinkProgress) -> dict[str, Any]:
    named = {"sink": progress.sink} if progress.sink else {}
    return {
        **named,
        "pending": progress.pending,
        "delivered": progress.delivered,
        "filtered": progress.filtered,
        "dead": progress.dead,
        **({"notTracked": progress.not_tracked} if progress.not_tracked else {}),
    }


def _rfc3339(moment: Timestamp) -> str:
    return f"{moment.ToDatetime().isoformat(timespec='milliseconds')}Z"


_COUNT = {"type": "integer", "minimum": 0}
_COUNTS = ("received", "accepted", "duplicate", "dropped", "refused")
_PLACES = ("pending", "delivered", "filtered", "dead")
_RECEIPT = {
    "type": "object",
    "required": ["receipt", *_COUNTS, "durable", "receivedAt", "sinks"],
    "properties": {
        "receipt": {"type": "string"},
        **dict.fromkeys(_COUNTS, _COUNT),
        "durable": {"type": "boolean"},
        "receivedAt": {"type": ["string", "null"], "format": "date-time"},
        "logLostAt": {
            "type": "string",
            "format": "date-time",
            "description": "When the log that held the events was found to be lost. What became of them is not known.",
        },
        "sinks": {
            "type": "array",
            "items": {
                "type": "object",
                "required": list(_PLACES),
                "properties": {
                    "sink": {"type": "string", "description": "Only for a secret or organisation key."},
                    **dict.fromkeys(_PLACES, _COUNT),
                    "notTracked": {
                        **_COUNT,
                        "description": "What became of them is not known: they are from before the sink's start, or so "
                        "old that what its route kept from it is forgotten. Absent: none.",
                    },
                },
            },
        },
    },
}
_OPERATION = {
    "operationId": "getReceipt",
    "summary": "Where the events of one request are",
    "description": "Whoever holds the receipt may see the counts; a secret or organisation key names the sinks too.",
    "tags": ["Receipts"],
    "parameters": [{"name": "receipt", "in": "path", "required": True, "schema": {"type": "string"}}],
    "security": [{}, {"headgateKey": []}, {"headgateBearer": []}],
    "responses": {
        "200": {"description": "Found", "content": {"application/json": {"schema": _RECEIPT}}},
        "401": {"$ref": "#/components/responses/Problem"},
        "403": {"$ref": "#/components/responses/Problem"},
        "404": {"$ref": "#/components/responses/Problem"},
        "503": {"$ref": "#/components/responses/Problem"},
    },
}
