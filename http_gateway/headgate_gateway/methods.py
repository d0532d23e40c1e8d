"""Refuses methods that a route does not have, in the route's own words where it has some."""

from collections.abc import Callable
from typing import Any

from falcon.asgi import Request, Response

from headgate_gateway.problem import problem


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
