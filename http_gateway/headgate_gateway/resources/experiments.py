"""GET /api/v1/experiments: what the browser client of API 2 asks at its start."""

from collections.abc import Mapping
from typing import Any

import orjson
from falcon.asgi import Request, Response
from headgate.v1 import ingest_service_pb2
from headgate_dialects.sdk.dialect import Answer, Dialect, Inbound, Unparsable
from headgate_dialects.sdk.rejection import Rejection

from headgate_gateway.http.headers import request_headers, retry_after
from headgate_gateway.http.origin import cors_headers, preflight_headers
from headgate_gateway.ingest.client import IngestClient, RequestTooLarge, ServiceUnavailable
from headgate_gateway.ingest.ingestion import NOT_CONFIRMED


class ExperimentsResource:
    """Answers with the experiments of the project's active config: none, where it has no config or no experiments.

    The key is judged by the service, as that of a request without events, and refused in the words of `dialect`.
    """

    methods = ("GET", "HEAD", "OPTIONS")

    def __init__(self, dialect: Dialect, client: IngestClient) -> None:
        self._dialect = dialect
        self._client = client

    async def on_get(self, req: Request, resp: Response) -> None:
        headers = request_headers(req.scope)
        answer = await self._answer(headers)
        resp.status = answer.status
        resp.set_headers({**answer.headers, **cors_headers(headers)})
        resp.data = orjson.dumps(answer.body)

    on_head = on_get

    async def on_options(self, req: Request, resp: Response) -> None:
        resp.status = 204
        resp.set_headers({"Allow": ", ".join(self.methods), **preflight_headers(request_headers(req.scope))})

    async def refuse_method(self, req: Request, resp: Response) -> None:
        answer = self._dialect.rejected(Unparsable(Rejection.METHOD))
        resp.status = answer.status
        resp.set_headers({"Allow": ", ".join(self.methods), **cors_headers(request_headers(req.scope))})
        resp.data = orjson.dumps(answer.body)

    async def _answer(self, headers: Mapping[str, str]) -> Answer:
        credential = self._credential(headers)
        if not credential:
            return self._dialect.rejected(Unparsable(Rejection.CREDENTIAL_MISSING))
        request = self._dialect.api.request()
        request.credential, request.origin = credential, headers.get("origin", "")
        request.experiments.ids.extend(filter(None, map(str.strip, headers.get("x-experiment-ids", "").split(","))))
        request.experiments.test = headers.get("x-xaiku-test", "").strip().lower() == "true"
        try:
            judged = await self._client.ingest(request)
        except (ServiceUnavailable, RequestTooLarge):
            judged = ingest_service_pb2.GatheredAnswer(refusal=NOT_CONFIRMED)
        if judged.WhichOneof("answer") == "response":
            return Answer(200, {"experiments": _by_id(orjson.loads(judged.experiments_json or b"[]"))})
        worded = self._dialect.refused(judged.refusal)
        if worded.status not in (429, 503):
            return worded
        return Answer(worded.status, worded.body, {"Retry-After": retry_after(judged.refusal.retry_after)})

    def _credential(self, headers: Mapping[str, str]) -> str:
        # The dialect knows where its key is and what it looks like.
        try:
            return self._dialect.parse(Inbound(headers, b'{"events":[]}')).credential
        except Unparsable as unparsable:
            return "" if unparsable.cause is Rejection.CREDENTIAL_MISSING else unparsable.credential or ""

    def operations(self) -> dict[str, Any]:
        return {
            "get": {
                "operationId": "getExperiments",
                "summary": "Experiments of the key's project",
                "tags": [self._dialect.api.title],
                "parameters": [
                    {"name": "X-public-key", "in": "header", "required": True, "schema": {"type": "string"}},
                    {
                        "name": "X-experiment-ids",
                        "in": "header",
                        "description": "Only these, separated by commas; empty: all.",
                        "schema": {"type": "string"},
                    },
                    {
                        "name": "X-xaiku-test",
                        "in": "header",
                        "description": "`true`: those marked as a test too.",
                        "schema": {"type": "string"},
                    },
                ],
                "responses": {
                    "200": {
                        "description": "The experiments",
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "object",
                                    "required": ["experiments"],
                                    "properties": {
                                        "experiments": {
                                            "type": "object",
                                            "description": "The variants of each experiment, by its id.",
                                            "additionalProperties": {"type": "array", "items": {"type": "object"}},
                                        }
                                    },
                                },
                                "example": {"experiments": {"exp_1": [{"id": "a", "weight": 50}]}},
                            }
                        },
                    },
                    "401": {"$ref": "#/components/responses/PlainError"},
                    "403": {"$ref": "#/components/responses/PlainError"},
                    "503": {"$ref": "#/components/responses/PlainError"},
                },
            }
        }


def _by_id(experiments: list[dict[str, Any]]) -> dict[str, Any]:
    """The variants of each experiment by its id. The client breaks on an experiment without variants: left out."""
    return {experiment["id"]: experiment["variants"] for experiment in experiments if experiment.get("variants")}
