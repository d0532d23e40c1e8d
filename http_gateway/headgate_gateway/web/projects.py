"""Making a project, with its first keys shown once."""

from headgate_gateway.app_api.caller import Failure
from headgate_gateway.app_api.projects import CREATE_PROJECT
from headgate_gateway.web.page import Answer, View
from headgate_gateway.web.visit import Person, Visit


async def new_project(visit: Visit, person: Person) -> Answer:
    """The form."""
    return View("no_project.html", {"error": "", "name": ""})


async def create_project(visit: Visit, person: Person) -> Answer:
    """Makes it, and shows its keys this once."""
    name = (await visit.form()).get("name", "").strip()
    try:
        made = await visit.ask(CREATE_PROJECT, body={"name": name})
    except Failure as failure:
        if failure.status in (401, 403):
            raise
        return View("no_project.html", {"error": failure.message, "name": name}, failure.status)
    return View("project_made.html", {"made": made["project"], "keys": made["keys"], "base_url": visit.base_url}, 201)
