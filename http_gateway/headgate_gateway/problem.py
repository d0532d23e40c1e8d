"""Errors of the routes that belong to no ingestion API."""

from typing import Any

import orjson


def problem(code: str, message: str, request_id: str, details: Any = None, field: str | None = None) -> bytes:
    """Encode {"error": {"code", "message", "details"?, "field"?, "requestId"}}."""
    error = {"code": code, "message": message}
    if details is not None:
        error["details"] = details
    if field is not None:
        error["field"] = field
    return orjson.dumps({"error": error | {"requestId": request_id}})
