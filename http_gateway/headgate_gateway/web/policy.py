"""Policy and deploys: versions of a project's config, what differs, and what one would change."""

import difflib
from typing import Any

import orjson

from headgate_gateway.app_api.caller import Failure
from headgate_gateway.app_api.deploys import ACTIVATE_DEPLOY, GET_DEPLOY, LIST_DEPLOYS, PREVIEW_DEPLOY
from headgate_gateway.web.page import Answer, Here, Redirect, View
from headgate_gateway.web.templates import json_text

LAST = "1000"


async def policy(here: Here) -> Answer:
    """The active config, the versions, and what differs between one of them and the active one."""
    return await _shown(here)


async def act(here: Here) -> Answer:
    """Activates a version, or says what one, or a draft, would change."""
    form = await here.visit.form()
    does, version = form.get("do", ""), form.get("version", "")
    query = {"project": here.slug}
    if does == "activate":
        if form.get("confirm", "").strip() != version:
            raise Failure(400, "not_confirmed", f"Nothing changed. To activate version {version}, type its number.")
        await here.visit.ask(ACTIVATE_DEPLOY, {"version": version}, query)
        return Redirect(here.url("policy", done=version))
    if does != "preview":
        raise Failure(400, "bad_request", "The form does not say what to do.")
    draft = form.get("draft", "")
    try:
        config = orjson.loads(draft) if draft.strip() else (await _version(here, version))["config"]
        preview = await here.visit.ask(PREVIEW_DEPLOY, query={**query, "last": LAST}, body=config or {})
    except orjson.JSONDecodeError as error:
        failure = Failure(400, "bad_request", f"The draft is no JSON: {error}")
        return await _shown(here, draft=draft, failure=failure)
    except Failure as failure:
        if failure.status in (401, 403):
            raise
        return await _shown(here, draft=draft, failure=failure)
    return await _shown(here, draft=draft, preview=preview)


async def _shown(
    here: Here, draft: str = "", preview: dict[str, Any] | None = None, failure: Failure | None = None
) -> Answer:
    query = {"project": here.slug}
    versions = (await here.visit.ask(LIST_DEPLOYS, query={**query, "limit": "50"}))["deploys"]
    active = await _version(here, "active")
    chosen = here.visit.query("version")
    other = await _version(here, chosen) if chosen.isdecimal() else None
    return View(
        "policy.html",
        {
            "page": "policy",
            "versions": versions,
            "active": active,
            "other": other,
            "differences": _differences(active, other) if other else [],
            "draft": draft,
            "preview": preview,
            "failure": failure,
            "done": here.visit.query("done"),
            "last": LAST,
        },
        failure.status if failure else 200,
    )


async def _version(here: Here, version: str) -> dict[str, Any]:
    return await here.visit.ask(GET_DEPLOY, {"version": version}, {"project": here.slug})


def _differences(active: dict[str, Any], other: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines and what they are: same, gone or come, from the active config to the other one."""
    before, after = (json_text(one["config"] or {}).splitlines() for one in (active, other))
    kinds = {"-": "gone", "+": "come"}
    return [
        (kinds.get(line[:1], "same"), line)
        for line in difflib.unified_diff(before, after, "active", f"version {other['version']}", lineterm="", n=3)
    ]
