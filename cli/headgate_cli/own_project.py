"""Which project a logged-in person means."""

from headgate_gateway.app_api.projects import LIST_PROJECTS

from headgate_cli.admin_socket import fail
from headgate_cli.http_api import HttpApi


def own_projects(way: HttpApi) -> list[str]:
    """The slugs of a person's projects."""
    return [one["slug"] for one in way.call(LIST_PROJECTS)["projects"]]


def own_project(way: HttpApi, named: str | None) -> str:
    """The one that is named, else the only one there is; where there are others the command ends."""
    if named is not None:
        return named
    projects = own_projects(way)
    if len(projects) != 1:
        fail(f"name one --project of {', '.join(projects)}" if projects else "you have no projects", 2)
    return projects[0]
