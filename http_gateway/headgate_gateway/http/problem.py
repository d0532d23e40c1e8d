"""Errors of the routes that belong to no ingestion API."""

from collections.abc import Callable
from typing import Any

import orjson
from falcon.asgi import Request, Response


def problem(code: str, message: str, request_id: str, details: Any = None, field: str | None = None) -> bytes:
    """Encode {"error": {"code", "message", "details"?, "field"?, "requestId"}}."""
    error = {"code": code, "message": message}
    if details is not None:
        error["details"] = details
    if field is not None:
        error["field"] = field
    return orjson.dumps({"error": error | {"requestId": request_id}})


class Methods:
    """Falcon middleware. A resource names its `methods`, and may word the 405 by `refuse_method`."""

    def __init__(self, new_request_id: Callable[[], str]) -> None:
        self._new_request_id = new_request_id

    async def process_resource(self, req: Request, resp: Response, resource: Any, params: dict[str, Any]) -> None:
        if req.method in resource.methods:
            return
        resp.complete = True
        if hasattr(resource, "refuse_method"):
            await resource.refuse_method(req, resp)
            return
        resp.status = 405
        resp.set_header("Allow", ", ".join(resource.methods))
        resp.data = problem("method_not_allowed", f"{req.method} is not for this path.", self._new_request_id())
