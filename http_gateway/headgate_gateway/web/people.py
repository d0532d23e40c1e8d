"""People: who may use a project, and who is invited."""

import asyncio
from typing import Any

from headgate_gateway.app_api.caller import Failure
from headgate_gateway.app_api.invitations import CREATE_INVITATION, DELETE_INVITATION, LIST_INVITATIONS
from headgate_gateway.app_api.members import LIST_MEMBERS, REMOVE_MEMBER, SET_MEMBER
from headgate_gateway.app_api.usage import LIST_AUDIT
from headgate_gateway.web.page import Answer, Here, Redirect, View

ROLES = {
    "viewer": "sees everything but keys and the audit log",
    "member": "also sends events again",
    "admin": "also changes keys, people, sinks and deploys",
    "owner": "also makes owners and deletes the project",
}
ENTRIES = 100


async def people(here: Here) -> Answer:
    """The page."""
    return await _shown(here)


async def act(here: Here) -> Answer:
    """Invites, changes a role, removes a member, or takes an invitation back."""
    form = await here.visit.form()
    does, user = form.get("do", ""), form.get("user", "").strip()
    if does == "invite":
        body = {"email": user, "role": form.get("role", "")}
        made = await here.visit.ask(CREATE_INVITATION, here.path, body=body)
        return await _shown(here, made)
    if does == "role":
        await here.visit.ask(SET_MEMBER, {**here.path, "user": user}, body={"role": form.get("role", "")})
    elif does == "remove":
        if form.get("confirm", "").strip() != user:
            raise Failure(400, "not_confirmed", f"Nobody was removed. To remove {user}, type their address.")
        await here.visit.ask(REMOVE_MEMBER, {**here.path, "user": user})
    elif does == "withdraw":
        await here.visit.ask(DELETE_INVITATION, {**here.path, "invitation": form.get("invitation", "")})
    else:
        raise Failure(400, "bad_request", "The form does not say what to do.")
    return Redirect(here.url("people"))


async def _shown(here: Here, made: dict[str, Any] | None = None) -> Answer:
    members, invited = await asyncio.gather(here.visit.ask(LIST_MEMBERS, here.path), _invited(here))
    return View(
        "people.html",
        {"page": "people", "roles": ROLES, "members": members["members"], "invited": invited, "made": made},
        201 if made else 200,
    )


async def _invited(here: Here) -> list[dict[str, Any]]:
    """None where their role does not let the person see invitations."""
    try:
        found: list[dict[str, Any]] = (await here.visit.ask(LIST_INVITATIONS, here.path))["invitations"]
    except Failure as failure:
        if failure.status != 403:
            raise
        return []
    return found


async def audit(here: Here) -> Answer:
    """Who changed what."""
    before = here.visit.query("before")
    query = {"limit": str(ENTRIES), **({"before": before} if before else {})}
    found = await here.visit.ask(LIST_AUDIT, here.path, query)
    return View("audit.html", {"page": "audit", "entries": found["audit"], "most": ENTRIES})
