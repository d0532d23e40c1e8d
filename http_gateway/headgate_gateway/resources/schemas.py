"""GET /schemas/...: the published JSON Schemas of headgate.yaml and of the compiled config."""

from typing import Any

import grpc.aio
from falcon.asgi import Request, Response
from headgate.v1 import deploy_service_pb2 as wire
from headgate.v1.deploy_service_pb2_grpc import DeployServiceStub

from headgate_gateway.http.headers import request_headers
from headgate_gateway.http.origin import cors_headers
from headgate_gateway.http.problem import problem

HEADGATE_YAML = "/schemas/headgate.yaml.json"
COMPILED = "/schemas/compiled.json"
SCHEMAS = {HEADGATE_YAML: wire.CONFIG_SCHEMA_HEADGATE_YAML, COMPILED: wire.CONFIG_SCHEMA_COMPILED}

_SECONDS = 5.0


class ConfigSchemaResource:
    """One schema, as the service of this release has it, for whoever writes a config: editors fetch it by its URL."""

    methods = ("GET", "HEAD")

    def __init__(self, channel: grpc.aio.Channel, schema: wire.ConfigSchema, new_request_id: Any) -> None:
        self._get: Any = DeployServiceStub(channel).GetConfigSchema
        self._request = wire.GetConfigSchemaRequest(schema=schema)
        self._new_request_id = new_request_id

    async def on_get(self, req: Request, resp: Response) -> None:
        resp.set_headers(cors_headers(request_headers(req.scope)))
        try:
            found = await self._get(self._request, timeout=_SECONDS)
        except grpc.aio.AioRpcError:
            resp.status = 503
            resp.set_header("Retry-After", "1")
            resp.data = problem("unavailable", "The service does not answer: retry.", self._new_request_id())
            return
        resp.content_type = "application/schema+json"
        resp.set_header("Cache-Control", "max-age=300")
        resp.data = found.schema_json

    on_head = on_get

    def operations(self) -> dict[str, Any]:
        name = wire.ConfigSchema.Name(self._request.schema).removeprefix("CONFIG_SCHEMA_")
        return {
            "get": {
                "operationId": f"get{name.title().replace('_', '')}Schema",
                "summary": "The JSON Schema of headgate.yaml"
                if self._request.schema == wire.CONFIG_SCHEMA_HEADGATE_YAML
                else "The JSON Schema of the compiled config, which POST /api/deploy takes",
                "tags": ["Deploys"],
                "responses": {
                    "200": {
                        "description": "JSON Schema 2020-12",
                        "content": {"application/schema+json": {"schema": {"type": "object"}}},
                    },
                    "503": {"$ref": "#/components/responses/Problem"},
                },
            }
        }
