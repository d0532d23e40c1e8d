"""Errors of the routes that belong to no ingestion API."""

from typing import Any

import orjson


def problem(code: str, message: str, request_id: str, details: Any = None) -> bytes:
    """Encode {"error": {"code", "message", "details"?, "requestId"}}."""
    error = {"code": code, "message": message, "requestId": request_id}
    if details is not None:
        error = {"code": code, "message": message, "details": details, "requestId": request_id}
    return orjson.dumps({"error": error})
