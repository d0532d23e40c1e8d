"""Every path of the web app."""

from typing import Any

from headgate_gateway.app_api.resource import Plumbing
from headgate_gateway.web import docs, explore, keys, live, overview, people, policy, projects, sign_in, sinks
from headgate_gateway.web.page import Page, PersonPage, ProjectPage, Site
from headgate_gateway.web.static_files import StaticResource, read_files
from headgate_gateway.web.templates import Templates
from headgate_gateway.web.visit import Calls

HOME = "/app"


def web_routes(plumbing: Plumbing) -> dict[str, Any]:
    """A resource for each path."""
    files = read_files()
    site = Site(plumbing, Templates(files), Calls(plumbing.channel))
    of_project = "/app/p/{slug}"
    return {
        HOME: PersonPage(site, sign_in.way_in),
        "/app/static/{name}": StaticResource(files),
        "/app/sign-in": sign_in.SignInPage(site, sign_in.show, sign_in.sign_in),
        "/app/cli": PersonPage(site, act=sign_in.command_line),
        "/app/sign-out": Page(site, act=sign_in.sign_out),
        "/app/projects": PersonPage(site, projects.new_project, projects.create_project),
        of_project: ProjectPage(site, overview.overview),
        f"{of_project}/live": ProjectPage(site, live.live),
        f"{of_project}/explore": ProjectPage(site, explore.explore),
        f"{of_project}/explore.csv": ProjectPage(site, explore.csv),
        f"{of_project}/sinks": ProjectPage(site, sinks.sinks, sinks.act),
        f"{of_project}/policy": ProjectPage(site, policy.policy, policy.act),
        f"{of_project}/keys": ProjectPage(site, keys.keys, keys.act),
        f"{of_project}/people": ProjectPage(site, people.people, people.act),
        f"{of_project}/audit": ProjectPage(site, people.audit),
        f"{of_project}/docs": ProjectPage(site, docs.docs),
        f"{of_project}/letters/{{letter}}": ProjectPage(site, sinks.letter),
    }
