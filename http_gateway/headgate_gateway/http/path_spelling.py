"""Paths that differ in the slash at their end alone, where two APIs have one each: `/batch/` and `/batch`."""

from collections.abc import Mapping, Sequence
from typing import Any

from falcon.asgi import Request, Response


def by_spelling(routes: Mapping[str, Any]) -> dict[str, Any]:
    """Routes by paths without a slash at their end, as Falcon looks them up. A resource that has both spellings of its
    path for itself is left as it is."""
    spellings: dict[str, dict[bool, Any]] = {}
    for path, resource in routes.items():
        plain = path.rstrip("/") or "/"
        spellings.setdefault(plain, {})[path != plain] = resource
    return {
        plain: next(iter(found.values()))
        if len(found) == 1
        else TwoSpellings(with_slash=found[True], without=found[False])
        for plain, found in spellings.items()
    }


class TwoSpellings:
    """Hands a request to the resource whose path it spells."""

    def __init__(self, *, with_slash: Any, without: Any) -> None:
        self._with_slash, self._without = with_slash, without
        # Each resource says itself which methods it takes.
        self.methods: Sequence[str] = ("GET", "POST", "OPTIONS")

    async def on_post(self, req: Request, resp: Response) -> None:
        resource = self._of(req)
        if req.method in resource.methods:
            await getattr(resource, f"on_{req.method.lower()}")(req, resp)
        else:
            await resource.refuse_method(req, resp)

    on_get = on_options = on_post

    async def refuse_method(self, req: Request, resp: Response) -> None:
        await self._of(req).refuse_method(req, resp)

    def _of(self, req: Request) -> Any:
        return self._with_slash if req.scope["path"].endswith("/") else self._without
