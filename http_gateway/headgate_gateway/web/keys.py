"""Keys and plan: a project's keys, its usage against its limits."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from headgate_gateway.app_api.caller import Failure
from headgate_gateway.app_api.keys import CREATE_KEY, LIST_KEYS, REVOKE_KEY, ROTATE_KEY
from headgate_gateway.app_api.usage import GET_USAGE
from headgate_gateway.web.overview import forecast
from headgate_gateway.web.page import Answer, Here, Redirect, View

KINDS = {
    "public": "pk_live_..., for pages and apps: sends events",
    "test": "pk_test_..., the same, and its events are marked as a test",
    "secret": "sk_live_..., for your servers: gRPC and deploys",
    "organisation": "org_live_..., for The Prompting Company's API and what its scopes say",
}


async def keys(here: Here) -> Answer:
    """The page."""
    return await _shown(here, made=None)


async def act(here: Here) -> Answer:
    """Makes, rotates or revokes a key. A new one is shown in the answer, this once."""
    form = await here.visit.form()
    does, key = form.get("do", ""), form.get("key", "")
    if does == "create":
        made = await here.visit.ask(CREATE_KEY, here.path, body={"kind": form.get("kind", "")})
        return await _shown(here, made)
    if does == "rotate":
        return await _shown(here, await here.visit.ask(ROTATE_KEY, {**here.path, "key": key}))
    if does != "revoke":
        raise Failure(400, "bad_request", "The form does not say what to do.")
    if form.get("confirm", "").strip() != key:
        raise Failure(400, "not_confirmed", f"Nothing was revoked. To revoke the key {key}, type its id.")
    await here.visit.ask(REVOKE_KEY, {**here.path, "key": key})
    return Redirect(here.url("keys", done=key))


async def _shown(here: Here, made: dict[str, Any] | None) -> Answer:
    usage, listed = await asyncio.gather(here.visit.ask(GET_USAGE, here.path), _listed(here))
    return View(
        "keys.html",
        {
            "page": "keys",
            "kinds": KINDS,
            "keys": listed,
            "made": made,
            "usage": usage,
            "quota": forecast(usage, datetime.now(UTC)),
            "done": here.visit.query("done") if made is None else "",
            "base_url": here.visit.base_url,
        },
        201 if made else 200,
    )


async def _listed(here: Here) -> list[dict[str, Any]] | None:
    """None where their role does not let the person see keys."""
    try:
        found: list[dict[str, Any]] = (await here.visit.ask(LIST_KEYS, here.path))["keys"]
    except Failure as failure:
        if failure.status != 403:
            raise
        return None
    return found
