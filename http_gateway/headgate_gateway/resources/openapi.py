"""GET /openapi.json: the document of the API, put together from what each route says of itself."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import orjson
from falcon.asgi import Request, Response

_REQUEST_HEADERS: tuple[dict[str, Any], ...] = (
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Within 24 hours the same key and body get the first answer again, and nothing is stored.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
    },
    {
        "name": "Headgate-Dry-Run",
        "in": "header",
        "description": "With 1 everything is judged and nothing stored; the answer says what would be, in `dryRun`.",
        "schema": {"type": "string", "enum": ["0", "1", "true", "false"]},
    },
    {
        "name": "Content-Encoding",
        "in": "header",
        "schema": {"type": "string", "enum": ["identity", "gzip", "deflate", "br", "zstd"]},
    },
)
_HEADERS: dict[str, Any] = {
    "Headgate-Receipt": {
        "description": "Look the stored events up with it: GET /v1/receipts/{receipt}.",
        "schema": {"type": "string"},
    },
    "Headgate-Warnings": {
        "description": "How many of the events do not fit the schema that the project's policy watches, and how many "
        "lone surrogates were replaced; absent: none.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit": {
        "description": "What is left of the limits that apply (IETF draft, structured field).",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "The limits that apply (IETF draft, structured field).",
        "schema": {"type": "string"},
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
}
_PROBLEM = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "requestId"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "details": {},
                "requestId": {"type": "string"},
            },
        }
    },
}
_PLAIN_ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
_COMPONENTS: dict[str, dict[str, Any]] = {
    "headers": _HEADERS,
    "responses": {
        "Problem": {"description": "An error", "content": {"application/json": {"schema": _PROBLEM}}},
        "PlainError": {"description": "An error", "content": {"application/json": {"schema": _PLAIN_ERROR}}},
    },
    "securitySchemes": {
        "headgateKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "headgateBearer": {"type": "http", "scheme": "bearer"},
        "headgateSession": {"type": "apiKey", "in": "cookie", "name": "better-auth.session_token"},
    },
}
_RATE = ("RateLimit", "RateLimit-Policy")


def document(
    routes: Mapping[str, Mapping[str, Any]], ingestion: Iterable[str], components: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Put together an OpenAPI 3.1 document.

    `routes` maps each path to its operations; those of the paths in `ingestion` get the headers that every ingestion
    API shares. `components` are merged; the first of a name stands.
    """
    paths = {path: deepcopy(dict(operations)) for path, operations in routes.items()}
    for path in ingestion:
        for operation in paths[path].values():
            _add_shared_headers(operation)
    merged = deepcopy(_COMPONENTS)
    for further in components:
        for kind, named in further.items():
            merged[kind] = {**deepcopy(dict(named)), **merged.get(kind, {})}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headgate",
            "version": "1",
            "description": "An event gateway: ingestion APIs, receipts, queries, and the setting up of projects and "
            "their people.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [],
        "paths": paths,
        "components": merged,
    }


def _add_shared_headers(operation: dict[str, Any]) -> None:
    parameters = operation.setdefault("parameters", [])
    named = {(parameter.get("in"), parameter.get("name", "").lower()) for parameter in parameters}
    parameters.extend(parameter for parameter in _REQUEST_HEADERS if ("header", parameter["name"].lower()) not in named)
    for status, response in operation["responses"].items():
        if "$ref" in response:
            continue
        names = [*_RATE] if status[0] in "24" else []
        if status[0] == "2":
            names += ["Headgate-Receipt", "Headgate-Warnings"]
        if status in ("429", "503"):
            names.append("Retry-After")
        shared = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
        if shared:
            response["headers"] = {**shared, **response.get("headers", {})}


class OpenApiResource:
    """Answers with a document that is made once."""

    methods = ("GET", "HEAD")

    def __init__(self) -> None:
        self._data = b"{}"

    def publish(self, made: Mapping[str, Any]) -> None:
        self._data = orjson.dumps(made)

    async def on_get(self, req: Request, resp: Response) -> None:
        resp.data = self._data

    on_head = on_get

    def operations(self) -> dict[str, Any]:
        return {
            "get": {
                "operationId": "getOpenApi",
                "summary": "This document",
                "tags": ["Operations"],
                "responses": {
                    "200": {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {}}}},
                },
            }
        }
